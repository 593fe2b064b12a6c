"""Dynamic batching: one thread runs the network, and each batch takes the photos that are waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import numpy as np

from tintype.inference.colorizer import Prepared

Predict = Callable[[Sequence[Prepared]], list[np.ndarray]]
T = TypeVar("T")


async def outlive_cancellation(result: asyncio.Future[T], withdraw: Callable[[], bool]) -> T:
    """Await a thread's result. If cancelled, still wait for the thread to end, because its memory is in use until then.

    Args:
        result: result of the thread.
        withdraw: called on cancellation. Returns true if the thread had not begun.
    """
    try:
        return await asyncio.shield(result)
    except asyncio.CancelledError:
        if not withdraw():
            await asyncio.wait({result})
            result.exception()  # nobody else is left to retrieve it
        raise


class Batcher:
    """Gives the network the photos that arrived while it was working, at most `batch_size` at a time.

    A photo that finds the network idle does not wait for others: batches grow only with the load.

    Args:
        predict: photos -> the chroma of each. Called in one thread.
        batch_size: largest number of photos in one call.
        observe: called with the size of each batch.
    """

    def __init__(self, predict: Predict, batch_size: int, observe: Callable[[int], None] = lambda size: None) -> None:
        self._predict = predict
        self._batch_size = batch_size
        self._observe = observe
        self._waiting: dict[asyncio.Future[np.ndarray], Prepared] = {}
        self._thread = ThreadPoolExecutor(1, "network")
        self._work: asyncio.Task[None] | None = None
        self._begun: float | None = None

    async def __call__(self, prepared: Prepared) -> np.ndarray:
        """Return the chroma of one photo."""
        answer: asyncio.Future[np.ndarray] = asyncio.get_running_loop().create_future()
        self._waiting[answer] = prepared
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._work_off())
        return await outlive_cancellation(answer, lambda: self._waiting.pop(answer, None) is not None)

    def busy_for(self) -> float:
        """Return how long the network has been working on its current batch, in seconds."""
        return 0.0 if self._begun is None else time.monotonic() - self._begun

    def close(self) -> None:
        """Stop accepting photos. This returns at once; the process ends when the network's current batch is done."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _work_off(self) -> None:
        while batch := list(islice(self._waiting, self._batch_size)):
            photos = [self._waiting.pop(answer) for answer in batch]
            self._observe(len(batch))
            self._begun = time.monotonic()
            results: Sequence[np.ndarray | Exception]
            try:
                results = await asyncio.get_running_loop().run_in_executor(self._thread, self._answers, photos)
            except BaseException as error:  # the thread is gone, or it is not an Exception: callers are waiting
                results = [RuntimeError(f"the network's thread gave up: {error!r}")] * len(batch)
            finally:
                self._begun = None
            for answer, result in zip(batch, results, strict=True):
                if isinstance(result, Exception):
                    answer.set_exception(result)
                else:
                    answer.set_result(result)

    def _answers(self, photos: list[Prepared]) -> list[np.ndarray | Exception]:
        """Return the chroma of each photo, or the error that it raised. A faulty photo does not affect the others."""
        try:
            return list(self._predict(photos))
        except Exception as error:
            if len(photos) == 1:
                return [error]
            return [answer for photo in photos for answer in self._answers([photo])]
