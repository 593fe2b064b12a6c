"""What a JPEG 2000 says of its channels and colors, which Pillow ignores."""

from __future__ import annotations

import io
import struct
from typing import IO, NamedTuple

from PIL import ImageFile

from tintype.images.bounds import CODESTREAM
from tintype.images.faults import UnreadablePhoto
from tintype.images.png_chunks import Coding

HEAD = 1 << 23
"""Bytes in which the pixels begin: profiles come first."""
ENUMERATED, RESTRICTED_PROFILE, ANY_PROFILE = 1, 2, 3
"""Methods of the box ``colr`` (ISO/IEC 15444-1, I.5.3.3, and 15444-2, M.11.7.3)."""
READ = {0, 12, 15, 16, 17, 18}
"""Enumerated color spaces that Pillow decodes: black and white, CMYK, sRGB, gray and sYCC."""


class Channels(NamedTuple):
    """What the codestream says of its channels (ISO/IEC 15444-1, A.5.1)."""

    number: int
    bits: int
    """Bits per sample of the first."""


def channels_of(file: IO[bytes]) -> Channels | None:
    """Return the channels of a JPEG 2000, or None if it is cut off."""
    head = _head(file)
    at = head.find(CODESTREAM)
    if at < 0 or len(head) < at + 43:
        return None
    (number,) = struct.unpack_from(">H", head, at + 40)
    return Channels(number, (head[at + 42] & 127) + 1)


def jpeg2000_coding(image: ImageFile.ImageFile) -> Coding:
    """Return how the samples of an opened JPEG 2000 are coded, and give the image its color profile.

    Args:
        image: not loaded yet.
    Raises:
        UnreadablePhoto: its color space is unknown.
    """
    assert image.fp is not None
    head = _head(image.fp)
    head = head[: max(head.find(CODESTREAM), 0)]
    at = head.find(b"colr")
    if at >= 4 and len(head) >= at + 7:
        (length,) = struct.unpack_from(">I", head, at - 4)
        method, content = head[at + 4], head[at + 7 : at - 4 + length]
        if method == ENUMERATED and len(content) >= 4 and (space := int.from_bytes(content[:4], "big")) not in READ:
            raise UnreadablePhoto(f"JPEG 2000 in an unknown color space (number {space})")
        if method in (RESTRICTED_PROFILE, ANY_PROFILE) and content:
            image.info["icc_profile"] = content
    channels = channels_of(image.fp)
    return Coding(16, 0, (channels.bits,)) if channels and image.mode == "I;16" else Coding(8, 2)


def _head(file: IO[bytes]) -> bytes:
    position = file.tell()
    file.seek(0)
    head = file.read(HEAD)
    file.seek(position, io.SEEK_SET)
    return head
