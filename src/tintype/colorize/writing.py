"""Results in files: whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

UNFINISHED = ".tintype-"
"""Begins the name of what is being written."""


@contextlib.contextmanager
def written(path: Path) -> Iterator[Path]:
    """Give a name to write to; what was written becomes `path`, whole or not at all.

    Unlike `tintype.files.replacing`'s it is nobody else's, so two runs may write to one folder, and it is short.
    """
    temporary = path.with_name(UNFINISHED + secrets.token_hex(6))
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
