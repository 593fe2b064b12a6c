"""Videos in color: frame by frame, the chroma held still over time; sound and timing as they were."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tintype.errors import UserError
from tintype.files import replacing
from tintype.images.photo import Photo
from tintype.images.strips import THREADS
from tintype.inference.colorizer import Colorizer

if TYPE_CHECKING:
    from tintype.video.reader import VideoReader
    from tintype.video.writer import VideoWriter

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".avi": "avi"}
"""What a name's suffix says a video is, in FFmpeg's words."""
SUFFIXES = frozenset(CONTAINERS)
BEGINNING, EVERY = 240, 12
"""Frames by which a video is said to have colors, and which of them are looked at."""
BATCH_PIXELS = 1 << 24
"""Of the frames that are in memory side by side; one frame always is."""


def colorize_video(
    source: Path,
    out: Path,
    colorizer: Colorizer,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Give a video its colors back.

    Size, timing (a variable rate too), sound, subtitles, chapters and tags stay; see `tintype.video.reader` for
    what is written. Memory holds some frames, however long the video.

    Args:
        source: its suffix is one of `SUFFIXES`.
        out: written whole or not at all; its suffix, one of `SUFFIXES`, says as what.
        colorizer: of large frames the network gets fewer than `batch_size` at a time; `keep_color` is decided once,
            see `_has_color`.
        progress: called with how many frames are done and how many there are, 0 if the file does not say.
    Raises:
        UnreadablePhoto: what is wrong with the source; that it was cut off is known, and said, at its end.
        UserError: it cannot become `out`, or what videos need is not installed.
    """
    try:
        from tintype.video.reader import FFmpegError, VideoReader
        from tintype.video.writer import VideoWriter
    except ImportError as error:
        raise UserError(f"videos: {error.name} is not installed; pip install 'tintype[video]'") from None
    container = CONTAINERS.get(out.suffix.lower())
    if container is None:
        raise UserError(f"{out}: allowed: a name that ends in {' '.join(CONTAINERS)}")
    if out.exists() and source.exists() and out.samefile(source):
        raise UserError(f"{out}: is the video itself; allowed: another name")
    with VideoReader(source, colorizer.options.max_pixels) as reader:
        kept = False
        if colorizer.options.keep_color:
            with VideoReader(source, colorizer.options.max_pixels) as beginning:
                kept = _has_color(beginning)
            colorizer = colorizer.with_options(keep_color=False)  # for `finish`, which would decide anew for each frame
        try:
            with replacing(out) as temporary, VideoWriter(temporary, container, reader) as writer:
                _convert(reader, writer, colorizer, kept, progress)
        except (FFmpegError, OSError) as error:
            raise UserError(f"{out}: cannot be written: {error.strerror or error}") from None


def _has_color(reader: VideoReader) -> bool:
    """Whether any of a video's first frames has, so that none of its pictures differs from the others in kind."""
    return any(Photo(frame.pixels).has_color for frame in islice(reader.frames(), 0, BEGINNING, EVERY))


def _convert(
    reader: VideoReader,
    writer: VideoWriter,
    colorizer: Colorizer,
    kept: bool,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Some frames at a time; they are encoded while work on the next ones goes on.

    Args:
        kept: write the frames' own colors.
    """
    from tintype.video.flicker import SteadyChroma

    steady, frames, done = SteadyChroma(), reader.frames(), 0
    at_a_time = max(1, min(colorizer.options.batch_size, BATCH_PIXELS // reader.pixels))
    with ThreadPoolExecutor(THREADS) as pool, ThreadPoolExecutor(1) as encoder:
        writing: Future[None] | None = None
        while some := list(islice(frames, at_a_time)):
            if kept:
                pictures = [
                    np.broadcast_to(np.atleast_3d(frame.pixels), (*frame.pixels.shape[:2], 3)) for frame in some
                ]
            else:
                prepared = list(pool.map(lambda frame: colorizer.prepare(Photo(frame.pixels)), some))
                chroma = [
                    steady(one.lightness, ab, frame.time)
                    for frame, one, ab in zip(some, prepared, colorizer.predict(prepared), strict=True)
                ]
                pictures = [photo.pixels for photo in pool.map(colorizer.finish, prepared, chroma)]
            if writing is not None:
                writing.result()
            writing = encoder.submit(writer.write, some, pictures, reader.others())
            done += len(some)
            if progress is not None:
                progress(done, reader.count)
        if writing is not None:
            writing.result()
    writer.end(reader.others())
