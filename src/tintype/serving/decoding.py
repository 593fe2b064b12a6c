"""Decoding in processes that can be killed: a decoder written in C cannot be interrupted in any other way.

`Decoders` starts them and hands them work. Each runs `main`, which imports nothing but what the work needs.
"""

from __future__ import annotations

import os
import pickle
import resource
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, ParamSpec, TypeVar, cast

import numpy as np

from tintype.serving.memory import give_back

PIECES = 200
"""Pieces of work after which a process makes way for a new one, and with it whatever libraries have kept of photos."""

P = ParamSpec("P")
T = TypeVar("T")


class TooCostly(Exception):  # noqa: N818 - a finding about the work
    """Work that takes more time or memory than allowed, or that its process did not survive."""


class Decoders:
    """Processes that do one piece of work at a time each, within limits. They stay for further work.

    Args:
        seconds: of the processor's time, for one piece of work. They do not depend on the load.
        memory: in bytes, for one piece of work.
    """

    def __init__(self, seconds: float, memory: int) -> None:
        self._seconds = seconds
        self._memory = memory
        self._idle: list[subprocess.Popen[bytes]] = []
        self._busy: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in another process, and wait. As many processes are started as threads call at a time.

        Args:
            work: a function of a module, which is found by its name.
            args: pickled, as are `kwargs` and the result.
            kwargs: see `args`.
        Raises:
            TooCostly: see there.
            Exception: what the function raised.
        """
        process = self._process()
        self._busy.add(process)
        try:
            if self._closed:
                raise TooCostly
            _send(cast(IO[bytes], process.stdin), (self._seconds, work, args, kwargs))
            result, error, last = _receive(cast(IO[bytes], process.stdout))
        except (EOFError, OSError):
            _end(process)
            raise TooCostly from None
        except BaseException:
            _end(process)
            raise
        finally:
            self._busy.discard(process)
        if last:
            _end(process)
        else:
            self._idle.append(process)
        if self._closed:
            self.close()
        if isinstance(error, MemoryError):
            raise TooCostly from None
        if error is not None:
            raise error
        return cast(T, result)

    def close(self) -> None:
        """End the processes at once, also in the middle of their work."""
        self._closed = True
        for process in list(self._busy):
            process.kill()  # the thread that waits for it does the rest
        while self._idle:
            _end(self._idle.pop())

    def _process(self) -> subprocess.Popen[bytes]:
        while self._idle:
            process = self._idle.pop()
            if process.poll() is None:
                return process
            _end(process)  # somebody else ended it
        return subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, str(self._memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,  # Ctrl-C is for the server, which lets photos finish
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    with process:  # closes its pipes and waits for it
        pass


def _send(pipe: IO[bytes], message: Any) -> None:
    """Write a message to a pipe. Arrays are not copied on the way."""
    arrays: list[pickle.PickleBuffer] = []
    parts = [memoryview(pickle.dumps(message, 5, buffer_callback=arrays.append)), *(array.raw() for array in arrays)]
    pipe.write(struct.pack(f"<Q{len(parts)}Q", len(parts), *(part.nbytes for part in parts)))
    for part in parts:
        pipe.write(part)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> Any:
    """Read a message from a pipe. Raises `EOFError` if the other side is gone."""
    (number,) = struct.unpack("<Q", _read(pipe, 8))
    sizes = struct.unpack(f"<{number}Q", _read(pipe, 8 * number))
    body, *arrays = [_read(pipe, size) for size in sizes]
    return pickle.loads(body, buffers=arrays)


def _read(pipe: IO[bytes], size: int) -> memoryview:
    part = np.empty(size, np.uint8)
    if pipe.readinto(part) < size:  # type: ignore[attr-defined]
        raise EOFError
    return part.data


def main(memory: int) -> None:
    """Do pieces of work as they come, until the server is gone.

    Args:
        memory: in bytes, in addition to what the process has to begin with.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as Ctrl-C: the server decides
    asked, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print does not belong between the answers
    import tintype.images.decoding  # noqa: F401 - before the memory is limited

    sizes = Path("/proc/self/statm")
    if sizes.exists():  # Linux; elsewhere, the limit has no effect that can be relied on
        most = memory + int(sizes.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    for number in range(1, PIECES + 1):
        try:
            seconds, work, args, kwargs = _receive(asked)
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_PROF, seconds)  # SIGPROF ends the process, whatever it is doing
        result = error = None
        try:
            result = work(*args, **kwargs)
        except Exception as raised:
            error = raised
        signal.setitimer(signal.ITIMER_PROF, 0)
        _send(answers, (result, error, number == PIECES))
        del work, args, kwargs, result, error
        give_back()


if __name__ == "__main__":
    main(int(sys.argv[1]))
