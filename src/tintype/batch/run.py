"""Colorization of any number of photos: decoded ahead of the network, finished and written behind it."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tintype.batch.plan import Task, format_by_name
from tintype.batch.search import is_file
from tintype.batch.side_by_side import side_by_side
from tintype.errors import UserError
from tintype.files import UNFINISHED, replacing
from tintype.images.encoding import encode_photo, lost_metadata
from tintype.images.formats import CONVERTED, SAME, WRITABLE, format_of
from tintype.images.opening import NO_FILE, UnreadablePhoto, opened
from tintype.images.strips import THREADS
from tintype.inference.colorizer import Colorizer, Prepared
from tintype.inference.hints import Hint
from tintype.video.colorize import colorize_video

BATCH_PIXELS = 1 << 25
"""Total pixels of the photos in one batch. A larger photo is a batch by itself. At most three batches are in memory."""
LEAST_MEASURED = 16
"""Minimum short side, in pixels, of a photo that is measured. SSIM's window is 11 pixels wide."""
FORGOTTEN = 3600
"""Age, in seconds, after which an unfinished file counts as left behind by a killed run.

Writing a file takes only seconds, because memory holds all of it by then.
"""
PRESERVED = frozenset({"MPO", *(format.pillow for format in WRITABLE.values())})
"""Formats in which a photo can be written again. The results of others have the format of their name."""
HOPELESS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""Errors because of which no other file can be written either."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a task."""

    task: Task
    error: str = ""
    """Why the task failed, or "" if it did not."""
    metrics: dict[str, float] | None = None
    """Metrics of `tintype.batch.comparison.measure`, for photos that were measured."""
    lost: tuple[str, ...] = ()
    """Names of the metadata that the result's format cannot hold."""
    warnings: tuple[str, ...] = ()
    """What the user should know of how the photo was read."""


@dataclass(frozen=True)
class Ready:
    """A photo that is ready for the network."""

    task: Task
    prepared: Prepared
    is_kept: bool
    """Whether the photo is returned unchanged."""


def remaining(tasks: Iterable[Task], *, overwrite: bool = False, evaluate: bool = False) -> list[Task]:
    """Return the tasks with work left: those not done yet, to be done again, or to be measured."""
    return [task for task in tasks if overwrite or not task.done or (evaluate and not task.is_video)]


def colorize_all(
    tasks: Sequence[Task],
    colorizer: Colorizer,
    *,
    overwrite: bool = False,
    seed: int | None = None,
    hints: Sequence[Hint] = (),
    evaluate: bool = False,
    frames: Callable[[Path, int, int], None] | None = None,
    stop: Callable[[], object] = bool,
) -> Iterator[Outcome]:
    """Colorize photos and videos, and yield each outcome as soon as the task is done.

    Files are written atomically, even in case of Ctrl-C or a crash. Memory holds three batches, whatever the number of
    photos, and `BATCH_PIXELS` limits their size.

    Args:
        tasks: tasks as returned by `remaining`.
        overwrite: write existing files again.
        seed: seed of a photo's first sample; those of the other samples follow. None: the model's one answer.
        hints: hints for every photo.
        evaluate: write the results again, and compare those of color photos with the originals.
        frames: called with a video, the number of its frames that are done, and their total (0 if it does not say).
        stop: called again and again. As soon as its answer is true, only the files that are being written are
            completed. A video is not: nothing of it stays.
    Raises:
        UserError: there is a seed but the model is deterministic; or nothing more can be written, as when the disk is
            full, so that going on is of no use.
    """
    if seed is not None and not colorizer.backend.stochastic:
        raise UserError("samples: this model has one answer; stochastic are those trained with generator.dropout")
    _tidy({output.parent for task in tasks for output in task.outputs})
    work = _Work(colorizer, overwrite or evaluate, seed, hints, evaluate, stop)
    yield from work.photos([task for task in tasks if not task.is_video])
    for task in tasks:
        if task.is_video and not stop() and (outcome := work.video(task, frames)):
            yield outcome


@dataclass(frozen=True)
class _Work:
    colorizer: Colorizer
    overwrite: bool
    seed: int | None
    hints: Sequence[Hint]
    evaluate: bool
    stop: Callable[[], object]

    def photos(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        batches = _batches(tasks, self.colorizer.options.batch_size, self.colorizer.options.max_pixels)
        pool = ThreadPoolExecutor(THREADS)
        try:
            ahead = [pool.submit(self.prepare, task) for task in next(batches, [])]
            behind: list[Future[Outcome]] = []
            while ahead and not self.stop():
                upcoming = [pool.submit(self.prepare, task) for task in next(batches, [])]
                found = [future.result() for future in ahead]
                ready = [one for one in found if isinstance(one, Ready)]
                answers = self.answers(ready)
                yield from (future.result() for future in behind)
                yield from (one for one in [*found, *answers] if isinstance(one, Outcome))
                behind = [
                    pool.submit(self.finish, one, answer)
                    for one, answer in zip(ready, answers, strict=True)
                    if not isinstance(answer, Outcome)
                ]
                ahead = upcoming
                del found, ready  # else they stay in memory until the next batch replaces them
            if self.stop():
                pool.shutdown(cancel_futures=True)
            yield from (future.result() for future in behind if not future.cancelled())
        finally:
            pool.shutdown(cancel_futures=True)  # files that are being written are completed

    def prepare(self, task: Task) -> Ready | Outcome:
        try:
            prepared = self.colorizer.prepare(task.source)
            return Ready(task, prepared, self.colorizer.options.keep_color and prepared.photo.has_color)
        except Exception as error:
            return Outcome(task, _reason(error))

    def answers(self, batch: Sequence[Ready]) -> list[list[np.ndarray] | Outcome]:
        """Return what `predict` returns. If a batch fails (for lack of memory, say), predict each photo alone."""
        try:
            return [*self.predict(batch)]
        except Exception as error:
            reason = _reason(error)
        if len(batch) == 1:
            return [Outcome(batch[0].task, reason)]
        return [self.answers([one])[0] for one in batch]  # after the error is gone: its frames hold memory

    def predict(self, batch: Sequence[Ready]) -> list[list[np.ndarray]]:
        """Return the chroma of each photo: one, or one per sample, or none if it is not needed."""
        seen = [one for one in batch if not one.is_kept]
        if self.seed is None:
            answers = iter(self.colorizer.predict([one.prepared for one in seen]))
            return [[] if one.is_kept else [next(answers)] for one in batch]
        # One by one: a photo's sample must not depend on the other photos of the batch.
        return [
            []
            if one.is_kept
            else [self.colorizer.predict([one.prepared], seed=self.seed + i)[0] for i in range(len(one.task.results))]
            for one in batch
        ]

    def finish(self, ready: Ready, answers: Sequence[np.ndarray]) -> Outcome:
        task, photo = ready.task, ready.prepared.photo
        # GIFs, say, are not written again, and the source may have had any suffix, so the result's name decides.
        is_named_so = photo.format in PRESERVED and task.source.suffix.lower() not in CONVERTED
        wanted = task.format if is_named_so else (format_by_name(task.results[0]) or SAME)
        told = Outcome(task, warnings=photo.warnings)
        try:
            results = [self.colorizer.finish(ready.prepared, ab, hints=self.hints) for ab in answers]
            for path, result in zip(task.results, results or [photo] * len(task.results), strict=True):
                if self.is_wanted(path):
                    own = photo.format in PRESERVED and format_of(photo, wanted) == format_of(photo)
                    copied = ready.is_kept and own
                    told = replace(told, lost=() if copied else lost_metadata(photo, wanted))
                    _write(path, task.source.read_bytes() if copied else encode_photo(result, wanted), task.source)
            if task.compare and self.is_wanted(task.compare):
                _write(task.compare, encode_photo(side_by_side([photo, *(results or [photo])]), wanted), task.source)
            # A photo that is returned unchanged has no prediction to measure.
            measured = self.evaluate and bool(results) and photo.has_color
            if not measured or min(photo.pixels.shape[:2]) < LEAST_MEASURED:
                return told
            from tintype.batch.comparison import measure

            return replace(told, metrics=measure(results[0], photo))
        except UserError:
            raise
        except Exception as error:
            return Outcome(task, _reason(error))

    def is_wanted(self, path: Path) -> bool:
        return self.overwrite or not is_file(path)

    def video(self, task: Task, frames: Callable[[Path, int, int], None] | None) -> Outcome | None:
        """Colorize a video. None: it was stopped."""
        (out,) = task.results

        def told(done: int, total: int) -> None:
            if self.stop():
                raise _Stopped
            if frames is not None:
                frames(task.source, done, total)

        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            colorize_video(task.source, out, self.colorizer, progress=told)
            return Outcome(task)
        except _Stopped:
            return None
        except Exception as error:
            if isinstance(error, UserError) and getattr(error.__cause__, "errno", None) in HOPELESS:
                raise
            return Outcome(task, _reason(error))


class _Stopped(Exception):  # noqa: N818 - not an error
    """Raised while a video is being colorized, because the run is to stop."""


def _batches(tasks: Iterable[Task], size: int, max_pixels: int) -> Iterator[list[Task]]:
    """Group consecutive tasks into batches whose photos fit into memory.

    The grouping is deterministic, because the photos of a batch affect the last bits of each other's results.
    """
    batch: list[Task] = []
    pixels = 0
    for task in tasks:
        more = _pixels(task.source, max_pixels)
        if batch and (len(batch) == size or pixels + more > BATCH_PIXELS):
            yield batch
            batch, pixels = [], 0
        batch.append(task)
        pixels += more
    if batch:
        yield batch


def _pixels(path: Path, max_pixels: int) -> int:
    """Return a photo's number of pixels by its header, or 0 if it will not be decoded, which `prepare` reports."""
    try:
        with opened(path, max_pixels) as image:
            return image.width * image.height
    except (UnreadablePhoto, OSError):
        return 0


def _tidy(folders: Iterable[Path]) -> None:
    """Remove the files that killed runs left behind."""
    for folder in folders:
        paths: list[Path] = []
        with contextlib.suppress(OSError):
            paths = list(folder.glob(f"{UNFINISHED}*"))
        for path in paths:
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > FORGOTTEN:
                    path.unlink()


def _write(path: Path, content: bytes, source: Path) -> None:
    """Write a file atomically, with the time of its source, by which albums are sorted.

    Raises `ValueError`, or `UserError` if no other file can be written either.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        kind = UserError if error.errno in HOPELESS else ValueError
        raise kind(f"{path}: cannot be written: {error.strerror or error}") from error
    with contextlib.suppress(OSError):  # some file systems keep no times, and the source may be gone
        found = source.stat()
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def _reason(error: Exception) -> str:
    """Return the reason why a photo failed, on one line."""
    if isinstance(error, MemoryError):
        return "not enough memory"
    # A photo may be unreadable because the operating system says so; then its reason is the true one.
    cause = error.__cause__ if isinstance(error, UnreadablePhoto) else error
    if isinstance(cause, FileNotFoundError):
        return NO_FILE
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    text = " ".join(str(error).split())
    return text if text and isinstance(error, (UnreadablePhoto, ValueError)) else f"{type(error).__name__}: {text}"
