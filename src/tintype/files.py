"""Files: written atomically where there is room for them, identified by their hash, and checked by it."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tintype.errors import UserError

SUMS = "SHA256SUMS"
"""Name of the file that lists the SHA-256 of each file in its folder, in the format of `sha256sum`."""
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


def write_sums(folder: Path) -> None:
    """Write the hash of each file in `folder` to `SUMS`, by which `verified` knows damaged ones."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != SUMS)
    with replacing(folder / SUMS) as temporary:
        temporary.write_text("".join(f"{sha256_of(path)}  {path.name}\n" for path in files), encoding="utf-8")


def verified(path: Path, stage: str) -> Path:
    """Return the path of a file after comparing its content with the hash that was written with it.

    Args:
        path: of a file in a folder with `SUMS`.
        stage: of the pipeline, that makes the folder.

    Raises:
        UserError: the file is damaged, or it or its hash is missing. One line says how to get it back.
    """
    folder = path.parent
    again = f"delete {folder} and run `dvc checkout`, or make it again with `dvc repro -s -f {stage}`"
    try:
        found = sha256_of(path)
        lines = (folder / SUMS).read_text(encoding="utf-8", errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{error.filename}: no such file; {again}") from None
    if f"{found}  {path.name}" not in lines:
        raise UserError(f"{path}: damaged, its SHA-256 is not the one in {folder / SUMS}; {again}")
    return path


def require_room(folder: Path, needed: int, what: str, advice: str = "make room there") -> None:
    """Raise `UserError` if a disk has less than `needed` bytes for `what`."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(f"{folder}: {what} needs {readable(needed)}, {readable(free)} are free; {advice}")


def readable(size: int) -> str:
    """Return a number of bytes in the unit that suits it, such as ``12.3 MB``."""
    amount, units = float(size), iter(("bytes", "kB", "MB", "GB"))
    unit = next(units)
    while amount >= 1000 and (larger := next(units, None)):
        amount, unit = amount / 1000, larger
    return f"{size} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"


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
