"""The error that users can fix, and the failures that are the machine's."""

from __future__ import annotations

import errno
import os

OF_DATA = (None, errno.EINVAL, errno.EOVERFLOW)
"""Error numbers of an `OSError` that damaged data can cause.

Libraries raise it without a number. Damaged data also leads them to impossible places in a file.
"""


class UserError(ValueError):
    """A param, a file or a machine that cannot be used. The message is one line: what happened, and what to do.

    Commands print it as ``error: ...`` and exit with status 2.
    """

    def __str__(self) -> str:
        return "\\n".join(super().__str__().splitlines())  # names of files and of params may hold line breaks

def machine_failure(error: BaseException | None) -> str | None:
    """Return what failed, in a few words, if the machine is why an exception was raised, and None if data or code are.

    The machine fails when the operating system refuses a file (no permission, an input/output error, too many open
    files, a file that is gone) or when memory runs out. The causes of the exception are looked at, too.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno not in OF_DATA:
            what = os.strerror(error.errno)
            return f"{error.filename}: {what}" if isinstance(error.filename, str | os.PathLike) else what
        if isinstance(error, MemoryError) or (not isinstance(error, UserError) and _lacks_memory(error)):
            return "out of memory"
        if isinstance(error, ImportError):
            return str(error)
        error = error.__cause__
    return None


def _lacks_memory(error: BaseException) -> bool:
    """Return whether a library that raises its own errors says that memory ran out, as Pillow, OpenCV and torch do."""
    text = str(error).lower()
    return any(words in text for words in ("out of memory", "insufficient memory", "allocate memory", "enough memory"))
