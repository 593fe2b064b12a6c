"""What kind of file it is that Pillow knows by its first bytes but cannot decode."""

from __future__ import annotations

import io
import struct
from typing import IO, NamedTuple

from tintype.images.bounds import CODESTREAM
from tintype.images.faults import NOT_AN_IMAGE, UNREADABLE
from tintype.images.tiff_reader import photo_page, read_pages

HEAD = 1 << 16
"""Bytes in which a JPEG 2000's pixels begin, or at least its name for them."""


class Size(NamedTuple):
    """What a JPEG 2000 says of its channels (ISO/IEC 15444-1, A.5.1)."""

    channels: int
    bits: int


def kind_of(format: str, file: IO[bytes]) -> str:
    """Return a line that says what a file is, for a reader that cannot decode it.

    Args:
        format: Pillow's name of the format.
        file: its content.
    """
    if format == "JPEG2000" and (size := size_of_jpeg2000(file)):
        return f"JPEG 2000 with {size.channels} unusual components"
    if format == "TIFF" and (pages := read_pages(file)) and pages[photo_page(pages)].width:
        page = pages[photo_page(pages)]
        if page.bits:
            return f"TIFF of a kind that is not read, of {page.samples} x {page.bits} bits per pixel"
        return f"TIFF of a kind that is not read, of {page.samples} channels"
    return UNREADABLE if format in ("PNG", "GIF", "WEBP") else NOT_AN_IMAGE


def size_of_jpeg2000(file: IO[bytes]) -> Size | None:
    """Return what a JPEG 2000 says of its channels, or None if it is cut off."""
    file.seek(0)
    head = file.read(HEAD)
    at = head.find(CODESTREAM)
    file.seek(0, io.SEEK_SET)
    if at < 0 or len(head) < at + 43:
        return None
    (channels,) = struct.unpack_from(">H", head, at + 40)
    return Size(channels, (head[at + 42] & 127) + 1)
