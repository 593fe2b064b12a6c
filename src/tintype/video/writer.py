"""Videos written by FFmpeg (PyAV): frames in color, and everything else that the source had.

Sound and subtitles are copied. Sound that the new container cannot hold is encoded again. The video is H.264, but VP9
in WebM and MPEG-4 part 2 in AVI (which cannot store the times that H.264 needs). It has 8 bits and 4:2:0. H.264 cannot
have an odd width or height with that, and then gets 4:4:4.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import av
import numpy as np
from av import FFmpegError as FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc
from av.video.stream import VideoStream

from tintype.video.reader import BT601, BT709, HIGH_DEFINITION, PRECISE, Frame, VideoReader, matrix_of

X264 = {"crf": "18", "preset": "faster"}
"""Hardly distinguishable from the source: https://trac.ffmpeg.org/wiki/Encode/H.264."""
VP9 = {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}
"""About the same quality: https://trac.ffmpeg.org/wiki/Encode/VP9."""

MPEG4 = {"flags": "+qscale", "global_quality": "236"}
"""The second-best of its quality scales, `-q:v 2`: https://trac.ffmpeg.org/wiki/Encode/MPEG-4."""
ENCODERS = {"webm": ("libvpx-vp9", VP9), "avi": ("mpeg4", MPEG4)}
"""Encoder and its options by container. All other containers get H.264."""

OF_THE_FILE = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder"})
"""Tags that say how the source file was made. They are not true of the new file."""

QUICKTIME = "com.apple.quicktime."
"""Prefix of the tags of a phone: place, time, make and model."""


class VideoWriter:
    """Writes a new file from the frames it is given and a reader's other streams, tags and chapters.

    Args:
        path: file to write. It may have any name.
        container: a value of `tintype.video.colorize.CONTAINERS`.
        reader: source of the frames.
    """

    def __init__(self, path: Path, container: str, reader: VideoReader) -> None:
        options = {"movflags": "+faststart"} if container in ("mp4", "mov") else {}
        if options and any(key.startswith(QUICKTIME) for key in reader.container.metadata):
            options["movflags"] += "+use_metadata_tags"  # else FFmpeg writes only the tags that it knows
        self.container = av.open(str(path), "w", format=container, container_options=options)
        self.reader = reader
        self.encoder: VideoStream | None = None
        self._beside: dict[int, Any] = {}
        """Streams of the new file, by the index of the reader's stream that they come from."""
        self._again: set[int] = set()
        """Indices of the streams that are encoded again."""
        self._last = -(1 << 62)
        self._latest: dict[int, int] = {}
        """Decoding time of the last packet of each copied stream, in the source's time base, by the new index."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def write(self, frames: Sequence[Frame], pictures: Sequence[np.ndarray], others: Iterable[Packet]) -> None:
        """Write frames with their pictures in color, (H, W, 3) uint8, and the packets that came with them."""
        if self.encoder is None:
            self.encoder = self._begun(*pictures[0].shape[:2])
        for packet in others:
            self._pass_on(packet)
        for frame, picture in zip(frames, pictures, strict=True):
            self.container.mux(self.encoder.encode(self._encodable(self.encoder, frame, picture)))

    def end(self, others: Iterable[Packet]) -> None:
        """Write the last packets, and what the encoders still hold."""
        for packet in others:
            self._pass_on(packet)
        for encoder in (self.encoder, *(self._beside[index] for index in self._again)):
            assert encoder is not None
            self.container.mux(encoder.encode(None))

    def _begun(self, height: int, width: int) -> VideoStream:
        """Declare the file's streams, tags and chapters before anything is written. Return the video's encoder."""
        video, kind = self.reader.video, self.container.format.name
        codec, options = ENCODERS.get(kind, ("libx264", X264))
        encoder: VideoStream = self.container.add_stream(codec, rate=self.reader.rate, options=options)  # type: ignore[assignment]
        encoder.width, encoder.height = width, height
        encoder.pix_fmt = "yuv444p" if codec == "libx264" and (width % 2 or height % 2) else "yuv420p"
        context = encoder.codec_context
        # AVI has no times: all its frames are equally long
        context.time_base = 1 / self.reader.rate if kind == "avi" else self.reader.time_base
        context.color_range, context.colorspace = ColorRange.MPEG, BT709 if height >= HIGH_DEFINITION else BT601
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        if ratio := video.sample_aspect_ratio:
            context.sample_aspect_ratio = 1 / ratio if self.reader.quarters % 2 else ratio
        encoder.metadata.update(_tags(video))
        for stream in self.reader.beside:
            self._add(stream)
        self.container.metadata.update(_tags(self.reader.container))
        with contextlib.suppress(Exception):  # invalid chapters are no reason to refuse the video
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
        else:  # subtitles that the container cannot hold
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
        elif packet.pts is not None:  # it is None for the empty packet at the end
            packet.stream = written
            if packet.dts is None:  # for sound and subtitles the two are the same
                packet.dts = packet.pts
            # A stream's times must increase, which those of damaged files do not.
            packet.dts = max(packet.dts, self._latest.get(written.index, packet.dts - 1) + 1)
            packet.pts = max(packet.pts, packet.dts)
            self._latest[written.index] = packet.dts
            with contextlib.suppress(av.InvalidDataError):  # a damaged packet is dropped
                self.container.mux(packet)

    def _encodable(self, encoder: VideoStream, frame: Frame, picture: np.ndarray) -> av.VideoFrame:
        made = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
            format=encoder.pix_fmt,
            dst_colorspace=matrix_of(picture.shape[0]),
            dst_color_range=ColorRange.MPEG,
            interpolation=PRECISE,
        )
        made.time_base = encoder.codec_context.time_base
        unit = self.reader.time_base / made.time_base
        self._last = max(round(frame.pts * unit), self._last + 1)
        made.pts, made.duration = self._last, round(frame.duration * unit)
        return made


def _tags(of: Any) -> dict[str, str]:
    return {key: value for key, value in of.metadata.items() if key not in OF_THE_FILE}
