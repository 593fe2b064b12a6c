"""Videos in files, by FFmpeg (PyAV): frames out of one, frames in color and all the rest into another.

Sound and subtitles are copied as they are; sound that the new file's kind cannot hold is encoded again. Frames that
players are told to turn are read, and written, upright. What cannot be decoded is left out, as players do; but a file
that ends clearly before its header says is refused.

Written are H.264, VP9 in WebM and MPEG-4 part 2 in AVI (which has no place for the times that H.264 needs); 8 bits,
4:2:0, but H.264 has no odd width or height in that, and gets 4:4:4.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import av
import numpy as np
from av import FFmpegError as FFmpegError
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation
from av.video.stream import VideoStream

from tintype.images.opening import NO_FILE, OVER_PIXEL_LIMIT, TRUNCATED, UNREADABLE, UnreadablePhoto

READABLE = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
"""FFmpeg's names of what is read. An allow-list: some of its other formats (playlists) open further files."""
NO_VIDEO = "no video in it"
HDR = "HDR video, which has to become SDR first"
LEAST_SHARE, LEAST_FRAMES, LEAST_SECONDS = 0.9, 10, 1.0
"""Of a promised time: a file is truncated if it has less than this share, and lacks more than so many frames' time, or
more than so many seconds. Headers are not exact."""

X264 = {"crf": "18", "preset": "faster"}
"""Hardly to be told from what was encoded: https://trac.ffmpeg.org/wiki/Encode/H.264."""
VP9 = {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}
"""About as good: https://trac.ffmpeg.org/wiki/Encode/VP9."""

MPEG4 = {"flags": "+qscale", "global_quality": "236"}
"""The best but one of its scales, `-q:v 2`: https://trac.ffmpeg.org/wiki/Encode/MPEG-4."""
ENCODERS = {"webm": ("libvpx-vp9", VP9), "avi": ("mpeg4", MPEG4)}
"""By container; in all others it is H.264."""

PRECISE = (
    Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP | Interpolation.FULL_CHR_H_INT
)
"""Else FFmpeg rounds down, and each conversion to RGB darkens by a level or more (measured: 0.5 to 1.7)."""
HIGH_DEFINITION = 720
"""Lines from which on videos have BT.709's matrix, unless they name another one; those of fewer have BT.601's."""
UNNAMED, BT709, BT601 = 2, 1, 6
"""Matrices, ITU-T H.273 table 4."""
OF_THE_FILE = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder"})
"""Tags that say how a file was made, which is not how the new one is."""


@dataclass(frozen=True)
class Frame:
    """One picture of a video."""

    pixels: np.ndarray
    """(H, W) gray or (H, W, 3) sRGB, uint8; upright."""
    pts: int
    """When it is shown, in the time base of its stream, as is its duration."""
    duration: int
    time: float
    """When it is shown, seconds."""


class VideoReader:
    """A video's frames, one after the other, and the packets of its other streams.

    Args:
        path: a file.
        max_pixels: of a frame; videos of larger ones are refused.
    Raises:
        UnreadablePhoto: it is no video, or one that cannot be colorized.
    """

    def __init__(self, path: Path, max_pixels: int) -> None:
        if not path.is_file():
            raise UnreadablePhoto(NO_FILE)
        allowed = {"format_whitelist": READABLE, "protocol_whitelist": "file"}
        try:
            self.container = av.open(str(path), container_options=allowed, metadata_errors="replace")
        except (FFmpegError, OSError):
            raise UnreadablePhoto(UNREADABLE) from None
        try:
            self.video = self._chosen(max_pixels)
        except UnreadablePhoto:
            self.container.close()
            raise
        self.video.thread_type = "AUTO"
        self.beside: list[Any] = [*self.container.streams.audio, *self.container.streams.subtitles]
        """Streams that are to be copied."""
        self.quarters = 0
        """How often the frames had to be turned by 90 degrees, counterclockwise."""
        self._packets: list[Packet] = []
        self._end = 0.0
        """Of the last packet beside, seconds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def _chosen(self, max_pixels: int) -> VideoStream:
        covers = Disposition.attached_pic
        videos = [one for one in self.container.streams.video if not one.disposition & covers and one.width]
        if not videos:
            raise UnreadablePhoto(NO_VIDEO)
        video = max(videos, key=lambda one: one.width * one.height)
        if video.width * video.height > max_pixels:
            raise UnreadablePhoto(OVER_PIXEL_LIMIT)
        if video.color_trc in (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67):
            raise UnreadablePhoto(HDR)
        return video

    @property
    def pixels(self) -> int:
        """Of a frame."""
        return self.video.width * self.video.height

    @property
    def count(self) -> int:
        """How many frames there are, about; 0 where the file does not say."""
        if self.video.frames or not self.container.duration:
            return self.video.frames
        return round(self.container.duration / av.time_base * self.rate)

    @property
    def rate(self) -> Fraction:
        """Frames a second, about."""
        return self.video.guessed_rate or self.video.average_rate or Fraction(25)

    @property
    def time_base(self) -> Fraction:
        """Seconds in a unit of `Frame.pts`."""
        return self.video.time_base or 1 / self.rate

    def frames(self) -> Iterator[Frame]:
        """All that can be decoded, at increasing times.

        Raises:
            UnreadablePhoto: that is none; or, after the last one, it is clearly fewer than the file says it has.
        """
        last = None
        usual = max(1, round(1 / (self.rate * self.time_base)))
        for frame in self._decoded():
            duration = frame.duration or usual
            pts = frame.pts if frame.pts is not None else 0 if last is None else last + duration
            last = pts if last is None else max(pts, last + 1)
            yield Frame(self._pixels(frame), last, duration, float(last * self.time_base))
        if last is None:
            raise UnreadablePhoto(UNREADABLE)
        self._refuse_truncated(float((last + duration) * self.time_base))

    def _refuse_truncated(self, end: float) -> None:
        """Compare when the last frame ends, seconds, with what the file promises."""
        if self.container.format.name == "avi":  # FFmpeg lowers its duration to what is there, but not the count
            promised = float(self.video.frames * self.time_base)
        elif self.video.duration:
            promised = float(self.video.duration * self.time_base)
        else:  # of all streams together; the sound may be longer
            promised, end = (self.container.duration or 0) / av.time_base, max(end, self._end)
        enough = min(LEAST_SECONDS, float(LEAST_FRAMES / self.rate))
        if end < LEAST_SHARE * promised and promised - end > enough:
            raise UnreadablePhoto(f"{TRUNCATED}: {end:.1f} of {promised:.1f} seconds")

    def others(self) -> list[Packet]:
        """The packets of the streams beside, those that were read since the last call."""
        packets, self._packets = self._packets, []
        return packets

    def _decoded(self) -> Iterator[av.VideoFrame]:
        with contextlib.suppress(av.InvalidDataError):  # a file that was cut off ends where it does
            for packet in self.container.demux([self.video, *self.beside]):
                if packet.stream is not self.video:
                    self._packets.append(packet)
                    if packet.pts is not None:
                        self._end = max(self._end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                    continue
                with contextlib.suppress(av.InvalidDataError):
                    yield from packet.decode()  # type: ignore[misc]  # of this stream: frames of a video

    def _pixels(self, frame: av.VideoFrame) -> np.ndarray:
        rgb = frame.reformat(
            width=self.video.width,
            height=self.video.height,
            format="rgb24",
            src_colorspace=_matrix(frame.height) if frame.colorspace == UNNAMED else None,
            interpolation=PRECISE,
        ).to_ndarray()
        pixels = rgb[..., 0] if (rgb[..., 0] == rgb[..., 1]).all() and (rgb[..., 1] == rgb[..., 2]).all() else rgb
        self.quarters = round(frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(pixels, self.quarters))


class VideoWriter:
    """A new file with a reader's other streams, tags and chapters, and the frames that it is given.

    Args:
        path: where it goes; of any name.
        container: a value of `tintype.video.colorize.CONTAINERS`.
        reader: what the frames come from.
    """

    def __init__(self, path: Path, container: str, reader: VideoReader) -> None:
        options = {"movflags": "+faststart"} if container in ("mp4", "mov") else {}
        self.container = av.open(str(path), "w", format=container, container_options=options)
        self.reader = reader
        self.encoder: VideoStream | None = None
        self._beside: dict[int, Any] = {}
        """What streams of the reader have become, by their index there."""
        self._again: set[int] = set()
        """Those of them that are encoded again."""
        self._last = -(1 << 62)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def write(self, frames: Sequence[Frame], pictures: Sequence[np.ndarray], others: Iterable[Packet]) -> None:
        """Some frames, their pictures in color, (H, W, 3) uint8, and the packets that came with them."""
        if self.encoder is None:
            self.encoder = self._begun(*pictures[0].shape[:2])
        for packet in others:
            self._pass_on(packet)
        for frame, picture in zip(frames, pictures, strict=True):
            self.container.mux(self.encoder.encode(self._encodable(self.encoder, frame, picture)))

    def end(self, others: Iterable[Packet]) -> None:
        """The last packets, and what the encoders still hold."""
        for packet in others:
            self._pass_on(packet)
        for encoder in (self.encoder, *(self._beside[index] for index in self._again)):
            assert encoder is not None
            self.container.mux(encoder.encode(None))

    def _begun(self, height: int, width: int) -> VideoStream:
        """Say what is in the file, as must be known before anything is written; gives the video's encoder."""
        video, kind = self.reader.video, self.container.format.name
        codec, options = ENCODERS.get(kind, ("libx264", X264))
        encoder: VideoStream = self.container.add_stream(codec, rate=self.reader.rate, options=options)  # type: ignore[assignment]
        encoder.width, encoder.height = width, height
        encoder.pix_fmt = "yuv444p" if codec == "libx264" and (width % 2 or height % 2) else "yuv420p"
        context = encoder.codec_context
        # AVI has no times, all its frames are equally long
        context.time_base = 1 / self.reader.rate if kind == "avi" else self.reader.time_base
        context.color_range, context.colorspace = ColorRange.MPEG, BT709 if height >= HIGH_DEFINITION else BT601
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        if ratio := video.sample_aspect_ratio:
            context.sample_aspect_ratio = 1 / ratio if self.reader.quarters % 2 else ratio
        encoder.metadata.update(_tags(video))
        for stream in self.reader.beside:
            self._add(stream)
        self.container.metadata.update(_tags(self.reader.container))
        with contextlib.suppress(Exception):  # chapters that make no sense are no reason to do without the video
            self.container.set_chapters(self.reader.container.chapters())
        return encoder

    def _add(self, stream: Any) -> None:
        codec, known = stream.codec_context.codec.canonical_name, self.container.supported_codecs
        if codec in known:
            written: Stream = self.container.add_stream_from_template(stream)
        elif stream.type == "audio":
            again = self.container.default_audio_codec
            written = self.container.add_stream(
                {"opus": "libopus", "vorbis": "libopus"}.get(again, again),
                rate=48000 if again in ("opus", "vorbis") else stream.rate,
                layout="mono" if stream.channels == 1 else "stereo",
            )
            self._again.add(stream.index)
        else:  # subtitles of another kind
            return
        written.metadata.update(_tags(stream))
        written.disposition = stream.disposition
        self._beside[stream.index] = written

    def _pass_on(self, packet: Packet) -> None:
        written = self._beside.get(packet.stream.index)
        if written is None:
            return
        if packet.stream.index in self._again:
            with contextlib.suppress(av.InvalidDataError):
                for frame in packet.decode():
                    self.container.mux(written.encode(frame))
        elif packet.pts is not None:  # it is of the empty one at the end
            packet.stream = written
            if packet.dts is None:  # of sound and subtitles the two are the same
                packet.dts = packet.pts
            self.container.mux(packet)

    def _encodable(self, encoder: VideoStream, frame: Frame, picture: np.ndarray) -> av.VideoFrame:
        made = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
            format=encoder.pix_fmt,
            dst_colorspace=_matrix(picture.shape[0]),
            dst_color_range=ColorRange.MPEG,
            interpolation=PRECISE,
        )
        made.time_base = encoder.codec_context.time_base
        unit = self.reader.time_base / made.time_base
        self._last = max(round(frame.pts * unit), self._last + 1)
        made.pts, made.duration = self._last, round(frame.duration * unit)
        return made


def _matrix(lines: int) -> Colorspace:
    return Colorspace.ITU709 if lines >= HIGH_DEFINITION else Colorspace.ITU601


def _tags(of: Any) -> dict[str, str]:
    return {key: value for key, value in of.metadata.items() if key not in OF_THE_FILE}
