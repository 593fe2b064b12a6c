"""Videos read by FFmpeg (PyAV): one frame after the other, and the packets of all other streams.

Frames that players are told to turn are read upright, and interlaced frames are deinterlaced. Frames that cannot be
decoded are skipped, as players skip them. A file that clearly ends before its header says is refused.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import av
import numpy as np
from av import FFmpegError as FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.reformatter import Colorspace, ColorTrc, Interpolation
from av.video.stream import VideoStream

from tintype.images.opening import NO_FILE, OVER_PIXEL_LIMIT, TRUNCATED, UNREADABLE, UnreadablePhoto
from tintype.video.clock import Clock
from tintype.video.deinterlacing import deinterlaced

READABLE = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,asf,flv"
"""FFmpeg's names of the formats that are read. An allow-list, because some others (playlists) open more files."""
ANY_CLOCK = frozenset({"mpeg", "mpegts"})
"""Formats whose times are those of a running clock: see `tintype.video.clock`."""
NO_VIDEO = "no video in it"
NO_DECODER = "the video in it is of a format that FFmpeg cannot decode"
HDR = "HDR video, which has to become SDR first"
LEAST_SHARE, LEAST_FRAMES, LEAST_SECONDS = 0.9, 10, 1.0
"""A file is truncated if it has less than this share of the promised time, and lacks more than this many frames or this
many seconds. Headers are not exact."""

PRECISE = (
    Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP | Interpolation.FULL_CHR_H_INT
)
"""Without these flags FFmpeg rounds down, and each conversion to RGB darkens by 0.5 to 1.7 levels (measured)."""
HIGH_DEFINITION = 720
"""Lines from which on videos use BT.709's matrix unless they name another one. Videos with fewer use BT.601's."""
UNNAMED, BT709, BT601 = 2, 1, 6
"""Codes of color matrices, ITU-T H.273 table 4."""


@dataclass(frozen=True)
class Frame:
    """One picture of a video."""

    pixels: np.ndarray
    """(H, W) gray or (H, W, 3) sRGB, uint8; upright."""
    pts: int
    """Time at which the frame is shown, in the time base of its stream, like `duration`."""
    duration: int
    time: float
    """Time at which the frame is shown, in seconds."""


class VideoReader:
    """Reads a video's frames, one after the other, and the packets of its other streams.

    Args:
        path: file of the video.
        max_pixels: pixel limit of a frame. Videos with larger frames are refused.
    Raises:
        UnreadablePhoto: the file is not a video, or is one that cannot be colorized.
    """

    def __init__(self, path: Path, max_pixels: int) -> None:
        if not path.is_file():
            raise UnreadablePhoto(NO_FILE)
        allowed = {"format_whitelist": READABLE, "protocol_whitelist": "file"}
        try:
            self.container = av.open(str(path), container_options=allowed, metadata_errors="replace")
        except (FFmpegError, OSError) as error:
            raise UnreadablePhoto(UNREADABLE) from error
        try:
            self.video = self._chosen(max_pixels)
        except UnreadablePhoto:
            self.container.close()
            raise
        self.video.thread_type = "AUTO"
        others: list[Any] = [*self.container.streams.audio, *self.container.streams.subtitles]
        self.beside = [one for one in others if _has_decoder(one)]
        """The other streams, which are to be copied."""
        self.quarters = 0
        """How often the frames had to be turned by 90 degrees, counterclockwise."""
        self._packets: list[Packet] = []
        self._end = 0.0
        """End of the last packet of the other streams, in seconds."""
        self._clock: Clock | None = None
        if self.container.format.name in ANY_CLOCK:
            self._clock = Clock(Fraction(self.container.start_time or 0, av.time_base))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def _chosen(self, max_pixels: int) -> VideoStream:
        covers = Disposition.attached_pic
        all_videos = [one for one in self.container.streams.video if not one.disposition & covers]
        videos = [one for one in all_videos if _has_decoder(one) and one.width]
        if not videos:
            raise UnreadablePhoto(NO_VIDEO if all(map(_has_decoder, all_videos)) else NO_DECODER)
        video = max(videos, key=lambda one: one.width * one.height)
        if video.width * video.height > max_pixels:
            raise UnreadablePhoto(OVER_PIXEL_LIMIT)
        if video.color_trc in (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67):
            raise UnreadablePhoto(HDR)
        return video

    @property
    def pixels(self) -> int:
        """Pixels of a frame."""
        return self.video.width * self.video.height

    @property
    def count(self) -> int:
        """Approximate number of frames, or 0 if the file does not say."""
        if self.video.frames or not self.container.duration:
            return self.video.frames
        return round(self.container.duration / av.time_base * self.rate)

    @property
    def rate(self) -> Fraction:
        """Approximate number of frames per second."""
        return self.video.guessed_rate or self.video.average_rate or Fraction(25)

    @property
    def time_base(self) -> Fraction:
        """Seconds per unit of `Frame.pts`."""
        return self.video.time_base or 1 / self.rate

    def frames(self) -> Iterator[Frame]:
        """Yield all frames that can be decoded, at increasing times.

        Raises:
            UnreadablePhoto: no frame can be decoded; or, after the last one, the file clearly has less than it says.
        """
        last = None
        usual = max(1, round(1 / (self.rate * self.time_base)))
        for frame in deinterlaced(self._decoded(), self.video):
            unit = (frame.time_base or self.time_base) / self.time_base
            duration = round(frame.duration * unit) or usual
            pts = round(frame.pts * unit) if frame.pts is not None else 0 if last is None else last + duration
            last = pts if last is None else max(pts, last + 1)
            yield Frame(self._pixels(frame), last, duration, float(last * self.time_base))
        if last is None:
            raise UnreadablePhoto(UNREADABLE)
        self._refuse_truncated(float((last + duration) * self.time_base))

    def _refuse_truncated(self, end: float) -> None:
        """Compare the end of the last frame, in seconds, with what the file promises."""
        if self._clock is not None and self._clock.jumped:  # what the file promises was computed across the jump
            return
        if self.container.format.name == "avi":  # FFmpeg lowers its duration to what is there, but not its count
            promised = float(self.video.frames * self.time_base)
        elif self.video.duration:
            promised = float(self.video.duration * self.time_base)
        else:  # the duration of all streams together; the sound may be longer
            promised, end = (self.container.duration or 0) / av.time_base, max(end, self._end)
        enough = min(LEAST_SECONDS, float(LEAST_FRAMES / self.rate))
        if end < LEAST_SHARE * promised and promised - end > enough:
            raise UnreadablePhoto(f"{TRUNCATED}: {end:.1f} of {promised:.1f} seconds")

    def others(self) -> list[Packet]:
        """Return the packets of the other streams that were read since the last call."""
        packets, self._packets = self._packets, []
        return packets

    def _decoded(self) -> Iterator[av.VideoFrame]:
        try:
            for packet in self.container.demux([self.video, *self.beside]):
                if self._clock is not None:
                    self._clock.move(packet)
                if packet.stream is not self.video:
                    self._packets.append(packet)
                    if packet.pts is not None:
                        self._end = max(self._end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                    continue
                with contextlib.suppress(av.InvalidDataError):
                    yield from packet.decode()  # type: ignore[misc]  # this stream has only video frames
        except av.InvalidDataError:  # a truncated file simply ends early
            return
        except (FFmpegError, OSError) as error:
            raise UnreadablePhoto(UNREADABLE) from error

    def _pixels(self, frame: av.VideoFrame) -> np.ndarray:
        rgb = frame.reformat(
            width=self.video.width,
            height=self.video.height,
            format="rgb24",
            src_colorspace=matrix_of(frame.height) if frame.colorspace == UNNAMED else None,
            interpolation=PRECISE,
        ).to_ndarray()
        pixels = rgb[..., 0] if (rgb[..., 0] == rgb[..., 1]).all() and (rgb[..., 1] == rgb[..., 2]).all() else rgb
        self.quarters = round(frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(pixels, self.quarters))


def _has_decoder(stream: Any) -> bool:
    return stream.codec_context is not None and stream.codec_context.codec is not None


def matrix_of(lines: int) -> Colorspace:
    """Return the color matrix of a video that does not name one, by its height in pixels."""
    return Colorspace.ITU709 if lines >= HIGH_DEFINITION else Colorspace.ITU601
