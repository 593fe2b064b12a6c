"""From files, bytes and Pillow's images to photos as they should look: the one decoder."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin

from tintype.images.icc_profiles import gray16_in_srgb, in_srgb, rgb16_in_srgb, to_srgb
from tintype.images.metadata import exif_of, metadata_of
from tintype.images.opening import OVER_PIXEL_LIMIT, UNREADABLE, UnreadablePhoto, opened
from tintype.images.photo import Photo, on_white
from tintype.images.rgb16_reader import low_bytes, mend_planes

MAX_PIXELS = 250_000_000
"""Of a photo that is read without being told otherwise."""
PHOTOMETRIC, WHITE_IS_ZERO = TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, 0


def read_photo(source: str | Path | IO[bytes] | Image.Image, max_pixels: int = MAX_PIXELS) -> Photo:
    """Read a photo as it should look.

    Turned upright by its EXIF orientation, its colors brought to sRGB by its profile, an animation's first frame.
    Gray stays gray, 16 bits a channel stay 16, transparency stays.

    Args:
        source: a file, its content (left open), or what Pillow made of one (left as it is).
        max_pixels: larger ones are refused by their header, before any decoding.
    Raises:
        UnreadablePhoto: whatever is wrong with the file.
    """
    if isinstance(source, Image.Image):
        return _of_pillow(source, max_pixels)
    source = Path(source) if isinstance(source, str) else source
    with opened(source, max_pixels) as image:
        mend_planes(image)
        tiles, exif = list(image.tile), exif_of(image)  # loading empties the one and closes the file behind the other
        image.load()
        _turn(image)
        low = low_bytes(source, tiles, max_pixels, _turn)
        return _photo(image, low, image, metadata_of(image, image, exif))


def read_rgb(source: Path | IO[bytes], max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """A photo as `read_photo` reads it, in 8 bits, in color, its transparency white.

    Returns:
        (H, W, 3) uint8, sRGB, writable.
    Raises:
        UnreadablePhoto: whatever is wrong with the file.
    """
    return np.array(on_white(read_photo(source, max_pixels).to_image()).convert("RGB"))


def _of_pillow(image: Image.Image, max_pixels: int) -> Photo:
    if image.width * image.height > max_pixels:
        raise UnreadablePhoto(OVER_PIXEL_LIMIT)
    try:
        turned = image.copy()
        with contextlib.suppress(Exception):
            turned = ImageOps.exif_transpose(image)
    except OSError as error:  # Pillow decodes late: the file behind may be broken
        raise UnreadablePhoto(UNREADABLE) from error
    return _photo(turned, None, image, metadata_of(turned, image, exif_of(image)))


def _turn(image: Image.Image) -> None:
    with contextlib.suppress(Exception):  # EXIF is often broken; in place, the pixels turn before it is rewritten
        ImageOps.exif_transpose(image, in_place=True)


def _photo(image: Image.Image, low: np.ndarray | None, file: Image.Image, metadata: dict[str, Any]) -> Photo:
    """An upright, decoded image; `low` are the low bytes of 16-bit RGB, (H, W, 3); `file` is what was opened."""
    if image.mode == "F":  # floats: their range is anybody's guess
        raise UnreadablePhoto(UNREADABLE)
    profile, key, format = image.info.get("icc_profile"), image.info.get("transparency"), file.format
    if image.mode.startswith("I"):  # I;16 and its kin, and I: 16-bit gray in 32
        wide = np.asarray(image)
        if wide.min() < 0 or wide.max() > 65535:  # as of floats
            raise UnreadablePhoto(UNREADABLE)
        gray, alpha = wide.astype(np.uint16), _keyed(wide[..., None], key)
        if isinstance(file, TiffImagePlugin.TiffImageFile) and file.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO:
            gray = 65535 - gray  # Pillow inverts 8 bits, not 16
        return Photo(gray16_in_srgb(gray, profile) if profile else gray, alpha, format, metadata)
    if low is not None and image.mode == "RGB":
        pixels = np.asarray(image, np.uint16) << 8 | low
        alpha = _keyed(pixels, key)
        return Photo(rgb16_in_srgb(pixels, profile) if profile else pixels, alpha, format, metadata)
    alpha = None
    if image.has_transparency_data or image.mode in ("LA", "La"):
        image = image.convert("L") if image.mode == "1" else image
        image = image.convert("LA" if image.mode in ("L", "LA", "La") else "RGBA")
        alpha = np.array(image.getchannel("A"))
        alpha = None if (alpha == 255).all() else alpha
        image = image.convert(image.mode[:-1])
    if image.mode == "1":
        image = image.convert("L")
    if image.mode == "L":
        known = profile and to_srgb(profile, "L")
        return Photo(np.array(in_srgb(image, profile).getchannel(1) if known else image), alpha, format, metadata)
    if low is not None:
        pixels = np.asarray(image, np.uint16) << 8 | low
        return Photo(rgb16_in_srgb(pixels, profile) if profile else pixels, alpha, format, metadata)
    return Photo(
        np.array(in_srgb(image.convert("RGB") if image.mode == "P" else image, profile)), alpha, format, metadata
    )


def _keyed(pixels: np.ndarray, key: Any) -> np.ndarray | None:
    """Transparency of 16-bit (H, W, channels) of which one color is none (PNG's tRNS); Pillow compares 8 bits."""
    clear = np.zeros(pixels.shape[:2], bool) if key is None else (pixels == key).all(axis=2)
    return np.where(clear, 0, 255).astype(np.uint8) if clear.any() else None
