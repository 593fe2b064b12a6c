"""One thread for the network, and for each of its turns all photos that wait."""

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
    """Await what a thread does. Cancelled, wait for its end all the same, as its memory is in use until then.

    Args:
        result: of the thread.
        withdraw: called then, true where the thread had not begun.
    """
    try:
        return await asyncio.shield(result)
    except asyncio.CancelledError:
        if not withdraw():
            await asyncio.wait({result})
            result.exception()  # nobody is left to ask
        raise


class Batcher:
    """Gives the network what has come while it worked, `batch_size` photos at most.

    A photo that finds the network idle is not kept waiting for others: batches grow with the load alone.

    Args:
        predict: photos -> the chroma of each; called in one thread.
        batch_size: photos in one call.
        observe: is told the size of each batch.
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
        """The chroma of one photo."""
        answer: asyncio.Future[np.ndarray] = asyncio.get_running_loop().create_future()
        self._waiting[answer] = prepared
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._work_off())
        return await outlive_cancellation(answer, lambda: self._waiting.pop(answer, None) is not None)

    def busy_for(self) -> float:
        """How long the network has been at its present batch, seconds."""
        return 0.0 if self._begun is None else time.monotonic() - self._begun

    def close(self) -> None:
        """Take no more. This returns at once; the process ends when the network's present batch is done."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _work_off(self) -> None:
        while batch := list(islice(self._waiting, self._batch_size)):
            photos = [self._waiting.pop(answer) for answer in batch]
            self._observe(len(batch))
            self._begun = time.monotonic()
            results: Sequence[np.ndarray | Exception]
            try:
                results = await asyncio.get_running_loop().run_in_executor(self._thread, self._answers, photos)
            except BaseException as error:  # no thread any more, or what is no Exception: somebody waits all the same
                results = [RuntimeError(f"the network's thread gave up: {error!r}")] * len(batch)
            finally:
                self._begun = None
            for answer, result in zip(batch, results, strict=True):
                if isinstance(result, Exception):
                    answer.set_exception(result)
                else:
                    answer.set_result(result)

    def _answers(self, photos: list[Prepared]) -> list[np.ndarray | Exception]:
        """The chroma of each photo, or what went wrong with it. One photo's fault is not its neighbors'."""
        try:
            return list(self._predict(photos))
        except Exception as error:
            if len(photos) == 1:
                return [error]
            return [answer for photo in photos for answer in self._answers([photo])]
