"""Files that datasets publish, kept for all of the user's projects. Errors say how to get them by hand."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tintype import download as fetching
from tintype.errors import UserError


@dataclass(frozen=True)
class Archive:
    """A file that a dataset publishes."""

    source: str  # the dataset's name in `data.source`
    page: str  # the dataset's home page, which states its license
    url: str
    digest: str  # hexadecimal: an MD5 has 32 digits, a SHA-256 64

    @property
    def path(self) -> Path:
        """Where the file is kept."""
        cache = os.environ.get("TINTYPE_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "tintype")
        return Path(cache).expanduser() / self.source / self.url.rsplit("/", 1)[-1]


def fetch(archive: Archive) -> Path:
    """Return ``archive.path``, after downloading the file if it is missing. Its hash is checked each time.

    Raises:
        UserError: one line with the reason, the URL, the page with the license, and where to put a file got by hand.
    """
    path = archive.path
    try:
        fetching.fetch(archive.url, path, archive.digest, variable="TINTYPE_CACHE")
    except fetching.NotFetched as reason:
        raise UserError(
            f"data.source = {archive.source!r}: no usable {path.name} ({reason}); try again, or read "
            f"{archive.page} for what its license allows, download {archive.url} and put it into {path.parent}"
        ) from None
    return path
