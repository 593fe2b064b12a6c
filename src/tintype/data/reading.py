"""Photo files of any kind as RGB arrays, as they should look."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageCms, ImageFile, ImageOps, UnidentifiedImageError

# By content, not by name. An allow-list, as some of Pillow's other readers run programs (EPS: Ghostscript).
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")
SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif"})

NOT_AN_IMAGE = "not an image"
TRUNCATED = "truncated"
OVER_PIXEL_LIMIT = "over the pixel limit"
NO_FILE = "no such file"
UNREADABLE = "unreadable"

# What Pillow warns of is decided here: accepted, or refused with a reason. Once for the process and not around each
# call: `warnings.catch_warnings` is not safe in threads.
warnings.filterwarnings("ignore", module=r"PIL\.")


class UnreadablePhoto(Exception):  # noqa: N818 - a finding about the photo
    """The file gives no photo; `reason` is one of this module's constants."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_photo(source: Path | IO[bytes], max_pixels: int) -> np.ndarray:
    """Read a photo as it should look.

    EXIF orientation is applied, colors are brought to sRGB (by the embedded profile, where there is a sound one),
    16 bits become 8, transparency shows white, an animation its first frame.

    Args:
        source: a file, or its content; a file object is left open.
        max_pixels: larger ones are refused by their header, before any decoding.
    Returns:
        (H, W, 3) uint8, sRGB, writable.
    Raises:
        UnreadablePhoto: whatever is wrong with the file.
    """
    with opened(source, max_pixels) as image:
        image.load()
        return _as_it_should_look(image)


@contextlib.contextmanager
def opened(source: Path | IO[bytes], max_pixels: int) -> Iterator[ImageFile.ImageFile]:
    """A photo's file, its header read and nothing decoded; for all that is done with it in the `with`.

    Raises:
        UnreadablePhoto: whatever is wrong with the file, whenever it comes out.
    """
    # Pillow refuses what is twice over a limit of its own, for the whole process; it must not undercut the caller's.
    if Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels // 2 + 1)
    try:
        with Image.open(source, formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise UnreadablePhoto(OVER_PIXEL_LIMIT)
            yield image
    except UnreadablePhoto:
        raise
    except Exception as error:  # broken files bring out anything: OSError, SyntaxError, struct.error, zlib.error, ...
        raise UnreadablePhoto(_reason(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return NOT_AN_IMAGE
    if isinstance(error, Image.DecompressionBombError):
        return OVER_PIXEL_LIMIT
    if isinstance(error, FileNotFoundError):
        return NO_FILE
    return TRUNCATED if isinstance(error, EOFError) or "truncated" in str(error).lower() else UNREADABLE


def _as_it_should_look(image: Image.Image) -> np.ndarray:
    with contextlib.suppress(
        Exception
    ):  # EXIF is often broken; in place, as then the pixels turn before it is rewritten
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode == "F":  # floats: their range is anybody's guess
        raise UnreadablePhoto(UNREADABLE)
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I"):  # I;16 and its kin, and I: 16-bit gray in 32
        # The high byte, which is also what Pillow keeps of 16-bit RGB; its own I -> L clips at 255.
        image = Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        return np.array(Image.composite(in_srgb(image.convert("RGB"), profile), white, image.getchannel("A")))
    return np.array(in_srgb(image.convert("RGB") if image.mode == "P" else image, profile))


def in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """`image` as sRGB: by its profile, else (none, a broken one, one for other channels) by Pillow's plain formulas.

    The same way does for CMYK: Pillow has undone Adobe's inversion by then, and only the profile knows the inks.
    """
    transform = to_srgb(profile, image.mode) if profile else None
    return transform.apply(image) if transform else image.convert("RGB")


@lru_cache(maxsize=32)  # photos of one camera or scanner share a profile
def to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform from `profile` to sRGB; None where there is nothing to do, or the profile cannot be used."""
    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    if mode == "RGB":  # most profiles are sRGB itself, and rounding would change such photos by one level
        cube = np.indices((6, 6, 6), np.uint8).reshape(3, 6, 36).transpose(1, 2, 0) * np.uint8(51)
        if np.abs(np.asarray(transform.apply(Image.fromarray(cube)), int) - cube).max() <= 1:
            return None
    return transform
