"""From a photo's file to its pixels, or to a refusal. Nothing is decoded before its header has been checked."""

from __future__ import annotations

import io
from typing import NamedTuple

from PIL import Image

from tintype.images.decoding import read_photo
from tintype.images.formats import READABLE
from tintype.images.opening import (
    NOT_AN_IMAGE,
    OVER_PIXEL_LIMIT,
    TRUNCATED,
    UNREADABLE,
    UnreadablePhoto,
    opened,
)
from tintype.images.photo import Photo
from tintype.serving.errors import Refusal
from tintype.serving.limits import Limits

ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")
"""Formats in which further frames are an animation. (In a TIFF they are pages or previews; the first is the photo.)"""
NAMES = "JPEG, PNG, WebP, TIFF, BMP, AVIF, HEIC, JPEG 2000, or a GIF that stands still"


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
        with opened(io.BytesIO(content), limits.pixels) as image:
            header = Header(image.format or "", *image.size)
            animated = image.format in ANIMATED and getattr(image, "is_animated", False)
    except UnreadablePhoto as error:
        cut = error.reason == NOT_AN_IMAGE and _looks_like_a_photo(content)
        raise unreadable(TRUNCATED if cut else error.reason, limits) from None
    if animated:
        raise Refusal(415, "animated", "this is an animation; send a still photo")
    if min(header.width, header.height) < limits.side:
        size = f"{header.width} x {header.height}"
        raise Refusal(422, "too_small", f"the photo has {size} pixels; it needs at least {limits.side} x {limits.side}")
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
    if reason == UNREADABLE:
        return Refusal(422, "unreadable", "the photo's file is damaged, or of an unsupported kind")
    return Refusal(422, "unreadable", f"the photo cannot be read: {reason}")


def _looks_like_a_photo(content: bytes) -> bool:
    """Return whether the content begins like one of the formats. If so, it is a broken photo, not another file."""
    return any((accept := Image.OPEN[name][1]) and accept(content[:16]) is True for name in READABLE)
