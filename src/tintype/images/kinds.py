"""What kind of file it is that Pillow knows by its first bytes but cannot decode."""

from __future__ import annotations

from typing import IO

from tintype.images.faults import NOT_AN_IMAGE, UNREADABLE
from tintype.images.jpeg2000 import channels_of
from tintype.images.tiff_reader import photo_page, read_pages


def kind_of(format: str, file: IO[bytes]) -> str:
    """Return a line that says what a file is, for a reader that cannot decode it.

    Args:
        format: Pillow's name of the format.
        file: its content.
    """
    if format == "JPEG2000" and (channels := channels_of(file)):
        return f"JPEG 2000 with {channels.number} unusual components"
    if format == "TIFF" and (pages := read_pages(file)) and pages[photo_page(pages)].width:
        page = pages[photo_page(pages)]
        if page.bits:
            return f"TIFF of a kind that is not read, of {page.samples} x {page.bits} bits per pixel"
        return f"TIFF of a kind that is not read, of {page.samples} channels"
    return UNREADABLE if format in ("PNG", "GIF", "WEBP") else NOT_AN_IMAGE
