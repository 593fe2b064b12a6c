"""Processing of photos from file to answer, with limits on the photos at a time and the pixels in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple, ParamSpec, TypeVar

from tintype.images.encoding import encode_photo
from tintype.images.formats import format_of
from tintype.images.photo import Photo
from tintype.images.strips import THREADS
from tintype.inference.colorizer import Colorizer, Prepared
from tintype.inference.hints import Hint
from tintype.serving.batching import Batcher, outlive_cancellation
from tintype.serving.decoding import Decoders, TooCostly
from tintype.serving.errors import Refusal
from tintype.serving.limits import Limits
from tintype.serving.memory import give_back
from tintype.serving.monitoring import Monitor
from tintype.serving.options import Options
from tintype.serving.reading import judge, read_content

RETRY = {"Retry-After": "2"}
DECODER, DECODER_PIXEL = 512_000_000, 40
"""Bytes that a decoder may use at most, and those for each pixel that is allowed. A 16-bit pixel takes 24."""

P = ParamSpec("P")
T = TypeVar("T")


class Answer(NamedTuple):
    """A photo in color."""

    content: bytes
    format: str
    """A key of `tintype.images.formats.WRITABLE`."""
    seconds: dict[str, float]
    """Seconds by step."""
    place: ExitStack
    """The photo's place in the queue and its room in memory. To be closed when the answer is sent."""


class Jobs:
    """All photos that the server is working on.

    Args:
        colorizer: runs the three steps: `prepare` and `finish` in a few threads, `predict` in one thread, in batches.
            Before `prepare`, each thread has photos decoded in a process of its own.
        limits: limits of the server.
        monitor: records the metrics.
    """

    def __init__(self, colorizer: Colorizer, limits: Limits, monitor: Monitor) -> None:
        self._colorizer = colorizer.with_options(max_pixels=limits.pixels)
        self._limits = limits
        self._monitor = monitor
        self._batcher = Batcher(self._colorizer.predict, colorizer.options.batch_size, monitor.batches.observe)
        self._pool = ThreadPoolExecutor(THREADS, "photos")
        self._decoders = Decoders(limits.decoding, DECODER + DECODER_PIXEL * limits.pixels)
        self._memory = _Memory(limits.pixels)
        self._answers = _Memory(limits.answers)
        self._places = limits.queue
        self._closed = False
        self._running: set[asyncio.Task[Answer]] = set()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Occupy one of the queue's places. Raises `Refusal` (429) if none is free."""
        if not self._places:
            raise Refusal(429, "busy", "the queue is full; try again in a moment", RETRY)
        self._places -= 1
        self._monitor.photos.inc()
        try:
            yield
        finally:
            self._places += 1
            self._monitor.photos.dec()
            if self._places == self._limits.queue and not self._closed:
                self._pool.submit(give_back)

    def start(self, content: bytes, options: Options, place: ExitStack) -> asyncio.Task[Answer]:
        """Start to colorize a photo. Its `place` passes to the answer, or is given back if there is none.

        If cancelled, the task lasts until the thread that it gave work to is free. Until then, its place and its memory
        do not count as free.
        """
        task = asyncio.create_task(self._colorize(content, options, place))
        self._running.add(task)  # the event loop has only weak references to tasks

        def over(task: asyncio.Task[Answer]) -> None:
            self._running.discard(task)
            if task.cancelled() or task.exception():
                place.close()

        task.add_done_callback(over)
        return task

    def busy_for(self) -> float:
        """Return how long the network has been working on its current batch, in seconds."""
        return self._batcher.busy_for()

    def close(self) -> None:
        """Stop accepting photos. This returns at once; the process ends when the threads finish their current work."""
        self._closed = True
        self._batcher.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._decoders.close()

    async def _colorize(self, content: bytes, options: Options, place: ExitStack) -> Answer:
        seconds: dict[str, float] = {}
        step = self._monitor.step
        one = self._colorizer.with_options(saturation=options.saturation, keep_color=options.keep_color)
        header = await self._in_thread(self._decoded, judge, content)
        with ExitStack() as memory:
            with step("wait", seconds):
                memory.callback(await self._memory.take(header.width * header.height))
            with step("decode", seconds):
                prepared = await self._in_thread(self._prepared, one, content)
            del content
            with step("network", seconds):
                ab = await self._batcher(prepared)
            with step("join", seconds):
                hints = _WhileWanted(options.spots, asyncio.current_task())
                photo = await self._in_thread(one.finish, prepared, ab, hints=hints)
            del prepared, ab
            with step("encode", seconds):
                coded, format = await self._in_thread(_coded, photo, options.format)
            del photo
            place.callback(await self._answers.take(len(coded)))
        return Answer(coded, format, seconds, place)

    def _prepared(self, colorizer: Colorizer, content: bytes) -> Prepared:
        return colorizer.prepare(self._decoded(read_content, content))

    def _decoded(self, work: Callable[[bytes, Limits], T], content: bytes) -> T:
        try:
            return self._decoders.run(work, content, self._limits)
        except TooCostly:
            raise Refusal(
                422, "too_costly", "the photo takes more time or memory to decode than allowed; save it again"
            ) from None

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        future = self._pool.submit(work, *args, **kwargs)
        return await outlive_cancellation(asyncio.wrap_future(future), future.cancel)


def _coded(photo: Photo, wanted: str) -> tuple[bytes, str]:
    try:
        return encode_photo(photo, wanted), format_of(photo, wanted)
    except ValueError as error:
        raise Refusal(422, "bad_option", f"format: the photo {error}") from None


class _WhileWanted(list[Hint]):
    """Hints whose iteration raises `RuntimeError` once their job is cancelled, because each costs a thread's time."""

    def __init__(self, hints: Iterable[Hint], job: asyncio.Task[Any] | None) -> None:
        super().__init__(hints)
        self.job = job

    def __iter__(self) -> Iterator[Hint]:
        for hint in super().__iter__():
            if self.job and self.job.cancelling():
                raise RuntimeError("nobody waits for these hints")
            yield hint


class _Memory:
    """Room for a number of pixels or bytes. It is first come, first served, so that large photos get their turn."""

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._turn = asyncio.Lock()
        self._given_back = asyncio.Event()

    async def take(self, wanted: int) -> Callable[[], None]:
        """Wait for room, at most all there is. Return a function that gives it back."""
        taken = min(wanted, self._size)
        async with self._turn:
            while self._free < taken:
                self._given_back.clear()
                await self._given_back.wait()
            self._free -= taken

        def give() -> None:
            self._free += taken
            self._given_back.set()

        return give
