"""Decoding of files, bytes and Pillow images into photos. All photos are decoded here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin

from tintype.images.icc_profiles import gray16_in_srgb, in_srgb, rgb16_in_srgb, to_srgb
from tintype.images.metadata import exif_of, metadata_of
from tintype.images.opening import OVER_PIXEL_LIMIT, UNREADABLE, UnreadablePhoto, opened
from tintype.images.photo import Photo, as_rgb, on_white
from tintype.images.rgb16_reader import low_bytes, mend_planes

MAX_PIXELS = 250_000_000
"""Default pixel limit of a photo."""
PHOTOMETRIC, WHITE_IS_ZERO = TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, 0


def read_photo(source: str | Path | IO[bytes] | Image.Image, max_pixels: int = MAX_PIXELS) -> Photo:
    """Read a photo: rotated upright by its EXIF orientation and converted to sRGB by its color profile.

    Of an animation, the first frame is read. Gray photos stay gray, 16 bits per channel stay 16 bits, and transparency
    is kept.

    Args:
        source: a file, its content (left open), or a Pillow image (left unchanged).
        max_pixels: larger photos are refused by their header, before any decoding.
    Raises:
        UnreadablePhoto: for any fault of the file.
    """
    if isinstance(source, Image.Image):
        return _of_pillow(source, max_pixels)
    return _of_file(Path(source) if isinstance(source, str) else source, max_pixels)


def read_rgb(source: Path | IO[bytes], max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read a photo like `read_photo`, as 8-bit color with transparent areas white.

    Returns:
        (H, W, 3) uint8, sRGB, writable.
    Raises:
        UnreadablePhoto: for any fault of the file.
    """
    photo = _of_file(source, max_pixels, with_metadata=False)
    if photo.alpha is not None:
        return np.array(on_white(photo.to_image()).convert("RGB"))
    return np.require(as_rgb(photo.in_8_bits), requirements="W")


def _of_file(source: Path | IO[bytes], max_pixels: int, *, with_metadata: bool = True) -> Photo:
    with opened(source, max_pixels) as image:
        mend_planes(image)
        tiles = list(image.tile)  # loading empties it, and closes the file behind EXIF
        exif = exif_of(image) if with_metadata else None
        image.load()
        _turn(image)
        low = low_bytes(source, tiles, max_pixels, _turn)
        return _photo(image, low, image, metadata_of(image, image, exif) if with_metadata else {})


def _of_pillow(image: Image.Image, max_pixels: int) -> Photo:
    if image.width * image.height > max_pixels:
        raise UnreadablePhoto(OVER_PIXEL_LIMIT)
    try:
        with _unmapped(image):
            turned = image.copy()
        with contextlib.suppress(Exception):
            turned = ImageOps.exif_transpose(image)
    except OSError as error:  # Pillow decodes lazily: the underlying file may be broken
        raise UnreadablePhoto(UNREADABLE) from error
    return _photo(turned, None, image, metadata_of(turned, image, exif_of(image)))


@contextlib.contextmanager
def _unmapped(image: Image.Image) -> Iterator[None]:
    """Keep Pillow from mapping an uncompressed TIFF into memory: it does so with the sides of the upright photo."""
    name = getattr(image, "filename", "")
    if name:
        image.filename = ""
    try:
        yield
    finally:
        if name:
            image.filename = name


def _turn(image: Image.Image) -> None:
    with contextlib.suppress(Exception):  # EXIF is often broken; in place, the pixels are rotated before it is written
        ImageOps.exif_transpose(image, in_place=True)


def _photo(image: Image.Image, low: np.ndarray | None, file: Image.Image, metadata: dict[str, Any]) -> Photo:
    """Make a photo of an upright, decoded image.

    Args:
        image: the image.
        low: (H, W, 3), the low bytes of 16-bit RGB, or None.
        file: the image as it was opened.
        metadata: the photo's.
    """
    if image.mode == "F":  # floats: their range is unknown
        raise UnreadablePhoto(UNREADABLE)
    profile, key, format = image.info.get("icc_profile"), image.info.get("transparency"), file.format
    if image.mode.startswith("I"):  # I;16 and its variants, and I: 16-bit gray in 32 bits
        wide = np.asarray(image)
        if wide.min() < 0 or wide.max() > 65535:  # not 16-bit gray
            raise UnreadablePhoto(UNREADABLE)
        gray, alpha = wide.astype(np.uint16), _keyed(wide[..., None], key)
        if isinstance(file, TiffImagePlugin.TiffImageFile) and file.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO:
            gray = 65535 - gray  # Pillow inverts 8-bit images but not 16-bit ones
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
    """Return the alpha of 16-bit pixels (H, W, channels) in which one color is transparent (PNG's tRNS).

    Pillow compares only 8 bits.
    """
    clear = np.zeros(pixels.shape[:2], bool) if key is None else (pixels == key).all(axis=2)
    return np.where(clear, 0, 255).astype(np.uint8) if clear.any() else None
