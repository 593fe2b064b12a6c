"""Files: written whole or not at all, and known by their hash."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNFINISHED = ".tintype-"
"""Begins the name of a file that is being written."""


def sha256_of(path: Path) -> str:
    """Of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def md5(path: Path) -> str:
    """Of a file, hexadecimal, as DVC names it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def folder_hash(folder: Path) -> str:
    """As a dvc.lock names a folder's content: by the MD5 of the list of its files and theirs."""
    files = (path for path in folder.rglob("*") if path.is_file())
    listed = [{"md5": md5(path), "relpath": path.relative_to(folder).as_posix()} for path in files]
    listed.sort(key=lambda file: file["relpath"])
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest() + ".dir"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to; at the end, what was written becomes `path`, whole or not at all.

    The name is short and nobody else's: several processes may write into one folder, even to one `path`.
    """
    temporary = path.with_name(f"{_prefix(path)}{secrets.token_hex(6)}.tmp")  # torch.save wants a suffix
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())  # the contents before the name: else a power cut can leave an empty file
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def leftovers(path: Path) -> list[Path]:
    """What killed processes left of `path`, and what others are writing to it just now."""
    return list(path.parent.glob(f"{_prefix(path)}*"))


def _prefix(path: Path) -> str:
    return f"{UNFINISHED}{hashlib.sha256(path.name.encode()).hexdigest()[:8]}-"
