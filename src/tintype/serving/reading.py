"""From a photo's file to its pixels, or to a refusal. Nothing is decoded before its header has been checked."""

from __future__ import annotations

import io
import re
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError

from tintype.images.decoding import read_photo
from tintype.images.formats import READABLE
from tintype.images.opening import NOT_AN_IMAGE, OVER_PIXEL_LIMIT, TRUNCATED, UnreadablePhoto
from tintype.images.photo import Photo
from tintype.serving.errors import Refusal
from tintype.serving.limits import Limits

ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")
"""Formats in which further frames are an animation. (In a TIFF they are pages or previews; the first is the photo.)"""
NAMES = "JPEG, PNG, WebP, TIFF, BMP, AVIF, or a GIF that stands still"
SCANS = 100
"""Maximum number of scans of a JPEG. Encoders write about a dozen.

Each scan is a pass over all pixels, and costs a hostile file less than 100 bytes
(https://bugzilla.redhat.com/show_bug.cgi?id=1344214).
"""
MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")
"""Marker of a JPEG. Within coded pixels, its first byte is never followed by such a byte (ITU-T T.81, B.1.1.5)."""
START, SCAN, END = b"\xd8", b"\xda", b"\xd9"


class Header(NamedTuple):
    """What a photo's file says about itself."""

    format: str
    """Pillow's name of the format."""
    width: int
    height: int


def judge(content: bytes, limits: Limits) -> Header:
    """Check a photo's header, and refuse what must not be decoded.

    Raises:
        Refusal: 413, 415 or 422.
    """
    try:
        with Image.open(io.BytesIO(content), formats=READABLE) as image:
            header = Header(image.format or "", *image.size)
            animated = image.format in ANIMATED and getattr(image, "is_animated", False)
    except UnidentifiedImageError:
        raise unreadable(TRUNCATED if _looks_like_a_photo(content) else NOT_AN_IMAGE, limits) from None
    except Image.DecompressionBombError:
        raise unreadable(OVER_PIXEL_LIMIT, limits) from None
    except Exception as error:  # broken files can raise anything
        raise unreadable(TRUNCATED, limits) from error
    if header.width * header.height > limits.pixels:
        raise unreadable(OVER_PIXEL_LIMIT, limits)
    if animated:
        raise Refusal(415, "animated", "this is an animation; send a still photo")
    if min(header.width, header.height) < limits.side:
        size = f"{header.width} x {header.height}"
        raise Refusal(422, "too_small", f"the photo has {size} pixels; it needs at least {limits.side} x {limits.side}")
    if header.format in ("JPEG", "MPO") and _scans(content) > SCANS:
        raise Refusal(422, "unreadable", f"the JPEG has more than {SCANS} scans; save it again")
    return header


def read_content(content: bytes, limits: Limits) -> Photo:
    """Decode a photo. Raises `Refusal` (413, 415 or 422)."""
    try:
        return read_photo(io.BytesIO(content), limits.pixels)
    except UnreadablePhoto as error:
        raise unreadable(error.reason, limits) from None


def unreadable(reason: str, limits: Limits) -> Refusal:
    """Return the server's answer for a reason of `tintype.images.opening.UnreadablePhoto`."""
    if reason == NOT_AN_IMAGE:
        return Refusal(415, "not_a_photo", f"not a photo in a supported format; allowed: {NAMES}")
    if reason == OVER_PIXEL_LIMIT:
        allowed = f"{limits.pixels / 1e6:.0f} megapixels"
        return Refusal(413, "too_many_pixels", f"the photo has more than the allowed {allowed}")
    if reason == TRUNCATED:
        return Refusal(422, "truncated", "the photo's file is damaged or incomplete")
    return Refusal(422, "unreadable", "the photo's file is damaged, or of an unsupported kind")


def _scans(jpeg: bytes) -> int:
    """Count the scans of a JPEG up to its end. What follows the end (phones put videos there) is ignored."""
    position = scans = 0
    while (marker := MARKER.search(jpeg, position)) and marker[1] != END and scans <= SCANS:
        scans += marker[1] == SCAN
        bare = marker[1] == START
        position = marker.end() + (0 if bare else int.from_bytes(jpeg[marker.end() : marker.end() + 2], "big"))
    return scans


def _looks_like_a_photo(content: bytes) -> bool:
    """Return whether the content begins like one of the formats. If so, it is a broken photo, not another file."""
    return any((accept := Image.OPEN[name][1]) and accept(content[:16]) is True for name in READABLE)
