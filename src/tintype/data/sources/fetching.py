"""Files that datasets publish: downloaded once for all labs, resumed where a connection broke off, checked by hash."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from filelock import FileLock
from tqdm import tqdm

from tintype.config import ConfigError

TIMEOUT = 30.0  # seconds without an answer
TRIES = 5  # in a row that bring nothing new
PAUSE = 1.0  # seconds before the second of them, twice as many before each further one
CHUNK = 1 << 20  # bytes


@dataclass(frozen=True)
class Archive:
    """A file that a dataset publishes."""

    source: str  # the dataset, by its name in `data.source`
    page: str  # its home, which says what its licence allows
    url: str
    digest: str  # hexadecimal: an MD5 has 32 digits, a SHA-256 64

    @property
    def path(self) -> Path:
        """Where it is kept, for all labs of the user."""
        cache = os.environ.get("TINTYPE_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "tintype")
        return Path(cache).expanduser() / self.source / self.url.rsplit("/", 1)[-1]


class WrongBytes(Exception):  # noqa: N818 - a finding about the file
    """A file is not the one that was published."""


def fetch(archive: Archive) -> Path:
    """``archive.path``, downloaded if it is not there yet; its hash is checked each time.

    What has come so far lies beside it as ``.part``, with the server's mark of the file (its ETag) as ``.part.tag``. It
    gets its name when it is whole and its hash is right. Of two labs that want the same file the second waits.

    Raises:
        ConfigError: one line with the reason, the URL, the page with the licence, and the place of a file got by hand.
    """
    path = archive.path
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f"{path.name}.lock")):
            if path.exists():
                _check(path, archive.digest)
            else:
                _download(archive.url, part)
                try:
                    _check(part, archive.digest)
                except WrongBytes:
                    part.unlink()  # there is nothing in it to go on from
                    raise
                part.replace(path)
                _tag(part).unlink()
    except (OSError, HTTPException, WrongBytes) as error:
        reason = error.reason if type(error) is URLError else error
        raise ConfigError(
            f"data.source = {archive.source!r}: no usable {path.name} ({reason}); try again, or read "
            f"{archive.page} for what its licence allows, download {archive.url} and put it into {path.parent}"
        ) from None
    return path


def _download(url: str, part: Path) -> None:
    """Bring `part` to its full length, through as many connections as it takes while each brings something new.

    A server that gives nothing at all is not asked twice: a missing network is said at once.
    """
    furthest, tries = _size(part), TRIES
    while True:
        try:
            return _receive(url, part)
        except (OSError, HTTPException):
            if _size(part) > furthest:
                furthest, tries = _size(part), 0
            tries += 1
            if tries > TRIES:
                raise
            time.sleep(PAUSE * 2 ** (tries - 1))


def _receive(url: str, part: Path) -> None:
    """Append to `part` what it lacks of the file at `url`.

    It is begun anew if the server does not send ranges, or has another file by now.

    Raises:
        OSError, HTTPException: for what the network does.
        ConfigError: for a disk on which it does not fit.
    """
    tag = _tag(part)
    have = _size(part) if tag.exists() else 0
    headers = {"User-Agent": "tintype"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        response = urlopen(Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        if error.code != 416 or not have:  # range not satisfiable: nothing comes after what there is
            raise
        if error.headers.get("Content-Range", f"bytes */{have}") == f"bytes */{have}":
            return None
        tag.unlink()  # the file is shorter by now
        return _receive(url, part)
    with response:
        mark = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        if response.status == 206:
            span = response.headers.get("Content-Range", "")
            if mark != tag.read_text() or not span.startswith(f"bytes {have}-"):
                tag.unlink()  # another file by now
                return _receive(url, part)
        else:
            have = 0
            part.write_bytes(b"")  # before the tag: bytes of another file never lie beside it
            tag.write_text(mark)
        length = response.headers.get("Content-Length")
        size = have + int(length) if length else None
        _refuse_what_does_not_fit(part, size)
        with (
            part.open("ab") as file,
            tqdm(desc=part.stem, initial=have, total=size, unit="B", unit_scale=True, disable=None) as bar,
        ):
            while chunk := response.read1(CHUNK):  # as it comes: `read` would lose what a broken connection has brought
                file.write(chunk)
                bar.update(len(chunk))
    if size is not None and _size(part) < size:
        raise ConnectionError(f"the connection broke off after {_size(part)} of {size} bytes")


def _check(path: Path, digest: str) -> None:
    """Raises `WrongBytes` if the file has another digest."""
    found = hashlib.new("md5" if len(digest) == 32 else "sha256", usedforsecurity=False)
    with (
        path.open("rb") as file,
        tqdm(desc=f"check {path.name}", total=_size(path), unit="B", unit_scale=True, disable=None) as bar,
    ):
        while chunk := file.read(CHUNK):
            found.update(chunk)
            bar.update(len(chunk))
    if found.hexdigest() != digest:
        raise WrongBytes(f"{path} is not the published file: its {found.name} is {found.hexdigest()}, not {digest}")


def _refuse_what_does_not_fit(part: Path, size: int | None) -> None:
    free = shutil.disk_usage(part.parent).free
    if size is not None and size - _size(part) > free:
        raise ConfigError(
            f"TINTYPE_CACHE = {os.environ.get('TINTYPE_CACHE')!r}: {part.parent} has {free / 1e9:.1f} GB free, "
            f"{part.stem} needs {(size - _size(part)) / 1e9:.1f} GB more; allowed is a folder on a larger disk"
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _tag(part: Path) -> Path:
    return part.with_name(f"{part.name}.tag")
