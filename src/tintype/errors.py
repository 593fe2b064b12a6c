"""The error that users can fix, the failures that are the machine's, and what no message may say."""

from __future__ import annotations

import errno
import os
import re

OF_DATA = (None, errno.EINVAL, errno.EOVERFLOW)
"""Error numbers of an `OSError` that damaged data can cause.

Libraries raise it without a number. Damaged data also leads them to impossible places in a file.
"""
FULL = os.strerror(errno.ENOSPC)
SAID = {
    "out of memory": (
        "out of memory",
        "insufficient memory",
        "allocate memory",
        "enough memory",
        "bad_alloc",
        "start new thread",
    ),
    # torch's writer of checkpoints only notices that the file is shorter than it should be
    FULL: ("no space left", "disk is full", "unexpected pos"),
    os.strerror(errno.EROFS): ("read-only file system", "readonly database"),
    os.strerror(errno.EIO): ("input/output error", "disk i/o error"),
}
"""What fails, and the words for it in the errors of Pillow, OpenCV, torch, safetensors and SQLite."""


CREDENTIALS = re.compile(r"""(?<=://)[^/\s'"<>]*@|(?<=[?&])[^=&\s'"<>]*=[^&\s'"<>]*""")
"""User and password in an address, and its query, which may hold a token or a signature."""


class UserError(ValueError):
    """A param, a file or a machine that cannot be used. The message is one line: what happened, and what to do.

    Commands print it as ``error: ...`` and exit with status 2. Credentials in addresses are left out of it.
    """

    def __str__(self) -> str:
        # Names of files and of params may hold line breaks.
        return redacted("\\n".join(super().__str__().splitlines()))


def redacted(text: str) -> str:
    """Return a text without the credentials of the addresses in it."""
    return CREDENTIALS.sub("", text) if "://" in text else text


def machine_failure(error: BaseException | None) -> str | None:
    """Return what failed, in a few words, if the machine is why an exception was raised, and None if data or code are.

    The machine fails when the operating system refuses a file (no permission, an input/output error, too many open
    files, a file that is gone) or when memory runs out. The causes of the exception are looked at, too.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno not in OF_DATA:
            what, path = os.strerror(error.errno), error.filename2 or error.filename  # of a copy, what is written
            return f"{path}: {what}" if isinstance(path, str | os.PathLike) else what
        if isinstance(error, MemoryError):
            return "out of memory"
        if not isinstance(error, UserError) and (said := _said(error)):
            return said
        if isinstance(error, ImportError):
            return str(error)
        error = error.__cause__
    return None


def _said(error: BaseException) -> str | None:
    """Return which failure of the machine a library tells in an error of its own."""
    text = str(error).lower()
    return next((failure for failure, words in SAID.items() if any(word in text for word in words)), None)
