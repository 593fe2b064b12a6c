"""Colorization of videos frame by frame, with chroma that is steady over time. Sound and timing stay unchanged."""

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
"""FFmpeg's name of the container that is written, by a file's suffix."""
SUFFIXES = frozenset({*CONTAINERS, ".mpg", ".mpeg", ".mts", ".m2ts", ".ts", ".wmv", ".flv", ".3gp"})
"""Suffixes of the files that are read."""
WRITTEN = ".mp4"
"""Suffix of what becomes of videos whose container is read but not written."""
BEGINNING, EVERY = 240, 12
"""The number of first frames that decide whether a video has color, and the step between those that are examined."""
BATCH_PIXELS = 1 << 24
"""Total pixels of the frames that are processed together. There is always at least one frame."""


def colorize_video(
    source: Path,
    out: Path,
    colorizer: Colorizer,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Colorize a video.

    Size, timing (including a variable frame rate), sound, subtitles, chapters and tags are kept. See
    `tintype.video.writer` for what is written. Memory holds a few frames, however long the video is.

    Args:
        source: the video. Its suffix is one of `SUFFIXES`.
        out: written atomically. Its suffix, one of `CONTAINERS`, determines the container.
        colorizer: colors the frames. If they are large, the network gets fewer than `batch_size` at a time.
            `keep_color` is decided once for the whole video, see `_has_color`.
        progress: called with the number of frames that are done, and their total (0 if the file does not say).
    Raises:
        UnreadablePhoto: the source is faulty. That it is truncated is known, and reported, only at its end.
        UserError: the source cannot become `out`, or a package that videos need is not installed.
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
            colorizer = colorizer.with_options(keep_color=False)  # else `finish` would decide again for each frame
        try:
            with replacing(out) as temporary, VideoWriter(temporary, container, reader) as writer:
                _convert(reader, writer, colorizer, kept, progress)
        except (FFmpegError, OSError) as error:
            raise UserError(f"{out}: cannot be written: {error.strerror or error}") from error


def _has_color(reader: VideoReader) -> bool:
    """Return whether any of a video's first frames has color. One answer for all frames keeps them consistent."""
    return any(Photo(frame.pixels).has_color for frame in islice(reader.frames(), 0, BEGINNING, EVERY))


def _convert(
    reader: VideoReader,
    writer: VideoWriter,
    colorizer: Colorizer,
    kept: bool,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Colorize some frames at a time. They are encoded while the next ones are being colorized.

    Args:
        kept: whether to write the frames' own colors instead.
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
