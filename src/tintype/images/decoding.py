"""Decoding of files, bytes and Pillow images into photos. All photos are decoded here."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin

from tintype.images.color_encodings import mark_adobe_rgb, profile_of
from tintype.images.faults import OVER_PIXEL_LIMIT, UNREADABLE, UnreadablePhoto
from tintype.images.icc_profiles import gray_in_srgb, in_srgb, rgb16_in_srgb
from tintype.images.jpeg2000 import jpeg2000_coding
from tintype.images.jpeg_ends import load
from tintype.images.metadata import exif_of, is_turned, metadata_of
from tintype.images.opening import opened
from tintype.images.photo import Photo, as_rgb, on_white
from tintype.images.png_chunks import Coding, is_deep_gray_alpha
from tintype.images.rgb16_reader import low_bytes, mend_planes
from tintype.images.sample_depth import widened
from tintype.images.tiff_reader import TiffFile, full_pages, in_full_range

MAX_PIXELS = 250_000_000
"""Default pixel limit of a photo."""
PHOTOMETRIC, WHITE_IS_ZERO = TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, 0
UNKNOWN = Coding(8, 0)

log = logging.getLogger(__name__)


def read_photo(source: str | Path | IO[bytes] | Image.Image, max_pixels: int = MAX_PIXELS) -> Photo:
    """Read a photo: rotated upright by its EXIF orientation and converted to sRGB by its color profile or encoding.

    Of an animation, the first frame is read; of a TIFF with several pages, the largest. Gray photos stay gray, 16 bits
    per channel stay 16 bits, and transparency is kept. What the user should know is in `Photo.warnings`.

    Args:
        source: a file, its content (left open), or a Pillow image (left unchanged).
        max_pixels: larger photos are refused by their header, before any decoding.
    Raises:
        UnreadablePhoto: for any fault of the file.
        MemoryError: the photo is too large for this machine.
    """
    if isinstance(source, Image.Image):
        return _of_pillow(source, max_pixels)
    return _of_file(Path(source) if isinstance(source, str) else source, max_pixels)


def read_rgb(source: Path | IO[bytes], max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read a photo like `read_photo`, as 8-bit color with transparent areas white. Warnings are logged.

    Returns:
        (H, W, 3) uint8, sRGB, writable.
    Raises:
        UnreadablePhoto: for any fault of the file.
        MemoryError: the photo is too large for this machine.
    """
    photo = _of_file(source, max_pixels, with_metadata=False)
    for warning in photo.warnings:
        log.warning("%s: %s", source if isinstance(source, Path) else "a photo", warning)
    if photo.alpha is not None:
        return np.array(on_white(photo.to_image()).convert("RGB"))
    return np.require(as_rgb(photo.in_8_bits), requirements="W")


def _of_file(source: Path | IO[bytes], max_pixels: int, *, with_metadata: bool = True) -> Photo:
    with opened(source, max_pixels) as image:
        mend_planes(image)
        mark_adobe_rgb(image)
        coding = _coding_of(image)
        tiles = list(image.tile)  # loading empties it, and closes the file behind EXIF
        exif, turned = (exif_of(image), is_turned(image)) if with_metadata else (None, False)
        warnings = load(image)
        _turn(image)
        low = low_bytes(source, tiles, max_pixels, _turn)
        metadata = metadata_of(image, image, exif, turned=turned) if with_metadata else {}
        photo = _photo(image, low, image, coding, metadata)
        return photo.with_warnings(*warnings, *_pages_left(image))


def _of_pillow(image: Image.Image, max_pixels: int) -> Photo:
    if image.width * image.height > max_pixels:
        raise UnreadablePhoto(OVER_PIXEL_LIMIT)
    is_rotated = is_turned(image)
    try:
        with _unmapped(image):
            turned = image.copy()
        with contextlib.suppress(Exception):
            turned = ImageOps.exif_transpose(image)
    except OSError as error:  # Pillow decodes lazily: the underlying file may be broken
        raise UnreadablePhoto(UNREADABLE) from error
    metadata = metadata_of(turned, image, exif_of(image), turned=is_rotated)
    return _photo(turned, None, image, UNKNOWN, metadata)


@contextlib.contextmanager
def _unmapped(image: Image.Image) -> Iterator[None]:
    """Keep Pillow from mapping an uncompressed TIFF into memory: it does so with the sides of the upright photo."""
    name = getattr(image, "filename", "")
    if name:
        image.filename = ""  # type: ignore[attr-defined]
    try:
        yield
    finally:
        if name:
            image.filename = name  # type: ignore[attr-defined]


def _turn(image: Image.Image) -> None:
    with contextlib.suppress(Exception):  # EXIF is often broken; in place, the pixels are rotated before it is written
        ImageOps.exif_transpose(image, in_place=True)


def _coding_of(image: Any) -> Coding:
    """Return how the samples of an opened image are coded."""
    if image.format == "JPEG2000":
        return jpeg2000_coding(image)
    return getattr(image, "coding", UNKNOWN)


def _pages_left(image: Image.Image) -> tuple[str, ...]:
    """Return a warning if a TIFF has other pages than the photo, its smaller copies and masks."""
    if not isinstance(image, TiffFile) or len(full_pages(image.pages)) < 2:
        return ()
    return (f"a TIFF of {len(image.pages)} pages; only page {image.page + 1}, the largest, is read",)


def _photo(
    image: Image.Image, low: np.ndarray | None, file: Image.Image, coding: Coding, metadata: dict[str, Any]
) -> Photo:
    """Make a photo of an upright, decoded image.

    Args:
        image: the image.
        low: (H, W, 3), the low bytes of 16-bit RGB, or None.
        file: the image as it was opened.
        coding: how its samples are coded, as far as that is known.
        metadata: the photo's.
    """
    if image.mode == "F":  # floats: their range is unknown
        raise UnreadablePhoto(UNREADABLE)
    pixels, alpha = _samples(image, low, file, coding)
    profile = profile_of(image.info, coding.cicp, is_png=file.format == "PNG", gray=_is_gray(pixels))
    if profile:
        metadata["icc"] = True
    if isinstance(pixels, Image.Image):
        pixels = np.array(pixels if _is_gray(pixels) else in_srgb(pixels, profile))
    elif profile and not _is_gray(pixels):
        pixels = rgb16_in_srgb(pixels, profile)
    if profile and _is_gray(pixels):
        pixels = gray_in_srgb(pixels, profile)
    return Photo(pixels, alpha, file.format, metadata)


def _is_gray(pixels: np.ndarray | Image.Image) -> bool:
    return pixels.mode == "L" if isinstance(pixels, Image.Image) else pixels.ndim == 2


def _samples(
    image: Image.Image, low: np.ndarray | None, file: Image.Image, coding: Coding
) -> tuple[np.ndarray | Image.Image, np.ndarray | None]:
    """Return the color of an image, and its alpha. White is the highest value.

    Returns:
        An array of 16 bits, or an image of 8 bits and of mode L, RGB or another one of `in_srgb`.
    """
    key, significant = image.info.get("transparency"), coding.significant
    if image.mode.startswith("I"):  # I;16 and its variants, and I: 16-bit gray in 32 bits
        wide = np.asarray(image)
        if wide.min() < 0 or wide.max() > 65535:  # not 16-bit gray
            raise UnreadablePhoto(UNREADABLE)
        gray, alpha = in_full_range(wide.astype(np.uint16), file), _keyed(wide[..., None], key)
        if isinstance(file, TiffImagePlugin.TiffImageFile) and file.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO:
            gray = 65535 - gray  # Pillow inverts 8-bit images but not 16-bit ones
        return widened(gray, significant), alpha
    if low is not None and image.mode == "RGB":
        pixels = np.asarray(image, np.uint16) << 8 | low
        return widened(pixels, significant), _keyed(pixels, key)
    if file.format == "PNG" and is_deep_gray_alpha(coding):
        high, low_gray, alpha, _ = np.moveaxis(np.asarray(image), 2, 0)
        return widened(high.astype(np.uint16) << 8 | low_gray, significant), _unless_opaque(alpha)
    alpha = None
    if image.has_transparency_data or image.mode in ("LA", "La"):
        is_palette = image.mode in ("P", "PA")
        image = image.convert("L") if image.mode == "1" else image
        image = image.convert("LA" if image.mode in ("L", "LA", "La") else "RGBA")
        alpha = _unless_opaque(np.array(image.getchannel("A")))
        image = image.convert(image.mode[:-1])
        if low is not None:
            return widened(np.asarray(image, np.uint16) << 8 | low, significant), alpha
        significant = () if is_palette else significant
    elif image.mode == "P":
        return image.convert("RGB"), None
    if image.mode == "1":
        image = image.convert("L")
    if significant and image.mode in ("L", "RGB"):
        image = Image.fromarray(widened(np.asarray(image), significant, coding.depth))
    return image, alpha


def _unless_opaque(alpha: np.ndarray) -> np.ndarray | None:
    return None if (alpha == 255).all() else alpha


def _keyed(pixels: np.ndarray, key: Any) -> np.ndarray | None:
    """Return the alpha of 16-bit pixels (H, W, channels) in which one color is transparent (PNG's tRNS).

    Pillow compares only 8 bits.
    """
    clear = np.zeros(pixels.shape[:2], bool) if key is None else (pixels == key).all(axis=2)
    return np.where(clear, 0, 255).astype(np.uint8) if clear.any() else None
