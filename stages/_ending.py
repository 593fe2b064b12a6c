"""The end of a stage before its work is done: by a signal, or because the DVC that runs it is gone.

DVC starts a stage through a shell and does not end it when it is killed itself. Such a stage would go on for hours, and
write its outputs over those of a later run.
"""

import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

GRACE = 9.0
"""Seconds from the first signal to the end, whatever the stage is doing."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_asked: signal.Signals | None = None
_deferring = False
_writer: socket.socket | None = None
"""Python writes the number of each signal to it at once, even while the main thread does not return to Python."""


def heed_signals() -> None:
    """End the process with status 128 + number at a signal, like an exception: what is half-written is removed.

    If the stage is run by DVC, the end of DVC, or of a process between DVC and this one, counts as SIGTERM.
    """
    global _writer
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # under nohup a hangup stays ignored
            signal.signal(number, _end)
    reader, _writer = socket.socketpair()
    _writer.setblocking(False)
    signal.set_wakeup_fd(_writer.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_end_late, args=[reader], daemon=True).start()
    if processes := list(_runners()):
        threading.Thread(target=_end_with, args=[processes], daemon=True).start()


@contextmanager
def deferred() -> Iterator[Callable[[], bool]]:
    """Let the block end by itself at a signal. It yields a function that returns whether it was asked to.

    The process ends after the block.
    """
    global _deferring
    _deferring = True
    try:
        yield lambda: _asked is not None
    finally:
        _deferring = False
        if _asked is not None:
            raise SystemExit(128 + _asked)


def _end(number: int, frame: object) -> None:
    global _asked
    if _asked is not None:  # the end has begun
        return
    _asked = signal.Signals(number)
    if not _deferring:
        raise SystemExit(128 + number)


def _end_late(signals: socket.socket) -> None:
    """Kill the process `GRACE` seconds after a signal. Libraries may catch the exception, wait, or be stuck in C."""
    signals.recv(1)
    time.sleep(GRACE)
    print(f"error: killed, still busy {GRACE:g} s after a signal", file=sys.stderr)
    os.kill(os.getpid(), signal.SIGKILL)


def _end_with(processes: list[int]) -> None:
    """Wait until one of the processes has ended. Then ask this process to end, too."""
    poll = select.poll()
    with suppress(ProcessLookupError):  # one has ended already
        for process in processes:
            poll.register(os.pidfd_open(process), select.POLLIN)
        poll.poll()
    print("error: dvc has ended, so this stage ends, too", file=sys.stderr)
    os.kill(os.getpid(), signal.SIGTERM)


def _runners() -> Iterator[int]:
    """Yield the processes from this one's parent up to DVC. There are none if the stage is not run by DVC.

    DVC names the stage in the environment of what it starts, so DVC is the first that was not started with that name.
    """
    stage = os.environ.get("DVC_STAGE")
    process = os.getppid()
    while stage and process > 0:
        yield process
        try:
            if f"DVC_STAGE={stage}" not in Path(f"/proc/{process}/environ").read_text(errors="replace").split("\0"):
                return
            # The name, in parentheses, may hold anything; state and parent follow it.
            process = int(Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError, PermissionError):  # ended, or another user's: not started by DVC
            return
