"""Download of published files: once, resumed after broken connections, and checked by hash."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from filelock import FileLock
from tqdm import tqdm

from tintype.errors import UserError
from tintype.files import readable

TIMEOUT = 30.0  # seconds without an answer
TRIES = 5  # in a row without new bytes
PAUSE = 1.0  # seconds before the first retry, doubled before each further one
CHUNK = 1 << 20  # bytes
OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


class NotFetched(Exception):  # noqa: N818 - a finding about the file
    """The file cannot be downloaded, or is not the published one. The message gives the reason in a few words."""


class _DiskFullError(Exception):
    pass


def fetch(url: str, path: Path, digest: str, variable: str) -> None:
    """Make the file of `url` available at `path`. Download it if it is not there yet, and check its hash every time.

    A partial download is kept next to it as ``.part``, with the server's identifier of the file (its ETag) as
    ``.part.tag``. The file gets its name once it is complete and its hash is correct. If two processes want the same
    file, the second one waits.

    Args:
        url: address of the file.
        path: where the file is kept for all projects of the user, who may also put it there by hand.
        digest: hash in hexadecimal: an MD5 has 32 digits, a SHA-256 has 64, of which the first 8 or more are enough.
        variable: environment variable by which the user moves the folder.

    Raises:
        NotFetched: the file cannot be downloaded, or is not the published one.
        UserError: the file does not fit on the disk.
    """
    try:
        if not path.exists():  # else nothing is written: the user may have only read access to the folder
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_name(f"{path.name}.lock")):
                if not path.exists():
                    return _bring(url, path, digest)
        _check(path, digest)
    except _DiskFullError as full:
        raise UserError(
            f"{variable} = {os.environ.get(variable)!r}: {full}; allowed is a folder on a larger disk"
        ) from None
    except (OSError, HTTPException) as error:
        raise NotFetched(error.reason if type(error) is URLError else error) from None


def _bring(url: str, path: Path, digest: str) -> None:
    """Download the file, and move it to `path` if its hash is correct."""
    part = path.with_name(f"{path.name}.part")
    _download(url, part)
    try:
        _check(part, digest)
    except NotFetched:
        part.unlink()  # it is of no use for resuming
        _tag(part).unlink()
        raise
    part.replace(path)
    _tag(part).unlink()


def _download(url: str, part: Path) -> None:
    """Complete `part`, reconnecting until `TRIES` connections in a row bring nothing new.

    A server that sends nothing at all is not asked twice, so that a missing network is reported at once.
    """
    furthest, tries = _size(part), TRIES
    while True:
        try:
            return _receive(url, part)
        except (OSError, HTTPException) as error:
            if isinstance(error, OSError) and error.errno in OF_THE_DISK:  # another try changes nothing
                raise _DiskFullError(f"{part}: {os.strerror(error.errno)}") from None
            if _size(part) > furthest:
                furthest, tries = _size(part), 0
            tries += 1
            if tries > TRIES:
                raise
            time.sleep(PAUSE * 2 ** (tries - 1))


def _receive(url: str, part: Path) -> None:
    """Append to `part` what it lacks of the file at `url`.

    The download starts over if the server does not send ranges, or has another file by now.

    Raises:
        OSError, HTTPException: the network or the server fails.
        _DiskFullError: the file does not fit on the disk.
    """
    tag = _tag(part)
    have = _size(part) if tag.exists() else 0
    headers = {"User-Agent": "tintype"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        response = urlopen(Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        if error.code != 416 or not have:  # range not satisfiable: nothing follows what we have
            raise
        if error.headers.get("Content-Range", f"bytes */{have}") == f"bytes */{have}":
            return None
        tag.unlink()  # the server's file is shorter by now
        return _receive(url, part)
    with response:
        mark = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        if response.status == 206:
            span = response.headers.get("Content-Range", "")
            if mark != tag.read_text() or not span.startswith(f"bytes {have}-"):
                tag.unlink()  # the server has another file by now
                return _receive(url, part)
        else:
            have = 0
            part.write_bytes(b"")  # before the tag, which must never belong to another file's bytes
            tag.write_text(mark)
        length = response.headers.get("Content-Length")
        size = have + int(length) if length else None
        _refuse_what_does_not_fit(part, size)
        with (
            part.open("ab") as file,
            tqdm(desc=part.stem, initial=have, total=size, unit="B", unit_scale=True, disable=None) as bar,
        ):
            while chunk := response.read1(CHUNK):  # `read` would lose the bytes before a broken connection
                file.write(chunk)
                bar.update(len(chunk))
    if size is not None and _size(part) < size:
        raise ConnectionError(f"the connection broke off after {_size(part)} of {size} bytes")


def _check(path: Path, digest: str) -> None:
    """Raise `NotFetched` if the file has another hash."""
    found = hashlib.new("md5" if len(digest) == 32 else "sha256", usedforsecurity=False)
    with (
        path.open("rb") as file,
        tqdm(desc=f"check {path.name}", total=_size(path), unit="B", unit_scale=True, disable=None) as bar,
    ):
        while chunk := file.read(CHUNK):
            found.update(chunk)
            bar.update(len(chunk))
    if not found.hexdigest().startswith(digest):  # a SHA-256 may be abbreviated, as in torch.hub
        raise NotFetched(f"{path} is not the published file: its {found.name} is {found.hexdigest()}, not {digest}")


def _refuse_what_does_not_fit(part: Path, size: int | None) -> None:
    free = shutil.disk_usage(part.parent).free
    needed = 0 if size is None else size - _size(part)
    if needed > free:
        raise _DiskFullError(f"{part.parent} has {readable(free)} free, {part.stem} needs {readable(needed)} more")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _tag(part: Path) -> Path:
    return part.with_name(f"{part.name}.tag")
