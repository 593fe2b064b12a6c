"""Files: written atomically, and identified by their hash."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNFINISHED = ".tintype-"
"""Prefix of the names of files that are being written."""


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def md5(path: Path) -> str:
    """Return the MD5 of a file in hexadecimal, by which DVC names its content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def folder_hash(folder: Path) -> str:
    """Return the hash by which dvc.lock names a folder's content: the MD5 of the list of its files and their MD5s."""
    files = (path for path in folder.rglob("*") if path.is_file())
    listed = [{"md5": md5(path), "relpath": path.relative_to(folder).as_posix()} for path in files]
    listed.sort(key=lambda file: file["relpath"])
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest() + ".dir"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to. At the end, what was written replaces `path` atomically.

    The temporary name is short and unique: several processes may write into one folder, even to one `path`.
    """
    temporary = path.with_name(f"{_prefix(path)}{secrets.token_hex(6)}.tmp")  # torch.save needs a suffix
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())  # contents before the name: else a power cut can leave an empty file
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def leftovers(path: Path) -> list[Path]:
    """Return the files that killed processes left of `path`, and those that others are writing to it right now."""
    return list(path.parent.glob(f"{_prefix(path)}*"))


def _prefix(path: Path) -> str:
    return f"{UNFINISHED}{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:8]}-"
