"""Ctrl-C and SIGTERM, noted instead of obeyed at once, so that a run can end in good order."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def noted_signals(received: list[int]) -> Iterator[None]:
    """Add the number of each Ctrl-C (SIGINT) and SIGTERM to a list, inside the `with` block.

    A second Ctrl-C interrupts whatever is being done. A signal that is being ignored stays ignored.
    """

    def note(number: int, _: object) -> None:
        received.append(number)
        if received.count(signal.SIGINT) > 1:
            raise KeyboardInterrupt

    numbers = [one for one in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(one) != signal.SIG_IGN]
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
