"""Files: written whole or not at all, and known by their hash."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sha256_of(path: Path) -> str:
    """Of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unfinished(path: Path) -> Path:
    """Where `replacing` has it written; what a killed process leaves there is rubbish."""
    return path.with_name(f"{path.name}.tmp")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a name to write to; what was written becomes `path` at the end, such that no one ever finds half of it."""
    temporary = unfinished(path)
    yield temporary
    with temporary.open("rb") as file:
        os.fsync(file.fileno())  # the contents before the name: else a power cut can leave an empty file
    temporary.replace(path)
