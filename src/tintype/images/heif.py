"""HEIC and other HEIF photos, as phones take them, through the optional package pillow-heif."""

from __future__ import annotations

from typing import IO

from PIL import ImageFile

from tintype.images.faults import UnreadablePhoto

BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"mif2")
"""Brands of ISO/IEC 23008-12, 10.2."""
NOT_INSTALLED = "a HEIC photo; to read it: pip install 'tintype[heif]'"


def is_heif(prefix: bytes) -> bool:
    """Return whether a file begins like a HEIF."""
    return prefix[4:8] == b"ftyp" and prefix[8:12] in BRANDS


def open_heif(file: IO[bytes]) -> ImageFile.ImageFile:
    """Open a HEIF without decoding it. Raises `UnreadablePhoto` if the package is missing, or `SyntaxError`."""
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise UnreadablePhoto(NOT_INSTALLED) from None
    image: ImageFile.ImageFile = HeifImageFile(file, "")
    return image
