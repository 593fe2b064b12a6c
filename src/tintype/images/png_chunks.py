"""The chunks of a PNG: counted before anything is decoded, and read where Pillow ignores them."""

from __future__ import annotations

import io
from typing import IO, Any, NamedTuple

from PIL import ImageFile, PngImagePlugin

from tintype.images.faults import UnreadablePhoto

DATA = (b"IDAT", b"fdAT", b"fcTL")
"""Chunks that hold pixels, or announce them."""
OTHERS = 1000
"""Maximum number of all other chunks. Photos have a few dozen at most."""
BYTES_PER_CHUNK = 1024
"""Least mean size of the data's chunks in large files. Encoders write 8192 and more."""
FREE = 10_000
"""Chunks of data that any file may have, however small they are."""


RAW_EXIF, RAW_LENGTH = "Raw profile type exif", 1 << 18
"""Keyword of a text with the EXIF segment of a JPEG in hexadecimal digits, and the maximum of these."""


class Coding(NamedTuple):
    """What a PNG says of its samples."""

    depth: int
    """Bits per sample, as stored."""
    color_type: int
    """Third edition of the PNG specification, table 8."""
    significant: tuple[int, ...] = ()
    """sBIT: the bits of each channel that the source had."""
    cicp: tuple[int, ...] = ()
    """cICP: color primaries, transfer function, matrix, full range; numbers of ITU-T H.273."""


def read_coding(file: IO[bytes]) -> Coding:
    """Walk over a PNG's chunks up to its end. Raises `UnreadablePhoto` if there are more than any photo has."""
    size = file.seek(0, io.SEEK_END)
    limits = {True: FREE + size // BYTES_PER_CHUNK, False: OTHERS}
    found = {True: 0, False: 0}
    small: dict[bytes, bytes] = {}
    position = 8
    while position < size:
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            break
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        if name == b"IEND":
            break
        is_data = name in DATA
        found[is_data] += 1
        if found[is_data] > limits[is_data]:
            raise UnreadablePhoto(f"a PNG of more than {limits[is_data]} chunks")
        if name in (b"IHDR", b"sBIT", b"cICP"):
            small.setdefault(name, file.read(min(length, 16)))
        position += length + 12
    header = small.get(b"IHDR", b"").ljust(13, b"\0")
    cicp = tuple(small.get(b"cICP", b""))
    return Coding(header[8], header[9], tuple(small.get(b"sBIT", b"")), cicp if len(cicp) == 4 else ())


def mend_png(image: ImageFile.ImageFile, coding: Coding) -> None:
    """Correct what Pillow makes of a PNG's header.

    Args:
        image: not loaded yet.
        coding: as returned by `read_coding`.
    """
    if len(image.info.get(RAW_EXIF, "")) > RAW_LENGTH:
        del image.info[RAW_EXIF]
    key = image.info.get("transparency")
    if image.mode == "L" and isinstance(key, int) and coding.depth < 8:  # Pillow spreads the samples but not the key
        image.info["transparency"] = key * 255 // (2**coding.depth - 1)
    if is_deep_gray_alpha(coding):  # Pillow keeps 8 of 16 bits; as RGBA, all bytes come through
        image.tile = [tile._replace(args="RGBA") for tile in image.tile]


def is_deep_gray_alpha(coding: Coding) -> bool:
    """Return whether the PNG is gray with transparency, in 16 bits."""
    return (coding.depth, coding.color_type) == (16, 4)


def coding_of(image: Any) -> Coding | None:
    """Return the coding of a PNG that `tintype.images.opening.opened` has opened, or None for any other image."""
    coding = getattr(image, "coding", None)
    return coding if isinstance(image, PngImagePlugin.PngImageFile) and isinstance(coding, Coding) else None
