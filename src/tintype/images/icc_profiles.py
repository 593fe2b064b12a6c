"""Conversion of photos to sRGB by their ICC profiles.

Pillow's binding to LittleCMS converts 16-bit images only if they are gray. That is enough: an RGB profile of the usual
kind (a matrix and three curves, ICC.1:2022, F.3) is equivalent to three gray profiles and a matrix.
"""

from __future__ import annotations

import contextlib
import io
import struct
from functools import cache, lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from tintype.color.lab_numpy import linear_table, linear_to_srgb

# sRGB's curve (IEC 61966-2-1) as a parametricCurveType of type 3, ICC.1:2022, 10.18: (a X + b)^g, and c X below d.
SRGB_CURVE = b"para\0\0\0\0" + struct.pack(
    ">HH5i", 3, 0, *(round(x * 65536) for x in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
)
D50 = struct.pack(">3i", 63190, 65536, 54061)
ROWS = 256
"""Rows that are converted at a time."""


def in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert an image to sRGB by its profile.

    Without a usable profile (none, a broken one, or one for other channels), Pillow's plain formulas convert it. CMYK
    is handled the same way: Pillow has already undone Adobe's inversion, and only the profile describes the inks.
    """
    transform = to_srgb(profile, image.mode) if profile else None
    return transform.apply(image) if transform else image.convert("RGB")


@lru_cache(maxsize=32)  # photos of one camera or scanner share a profile
def to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from `profile` to sRGB, or None if there is nothing to do or the profile is unusable."""
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
    if mode == "RGB":  # most profiles are sRGB itself; rounding would change such photos by one level
        cube = np.indices((6, 6, 6), np.uint8).reshape(3, 6, 36).transpose(1, 2, 0) * np.uint8(51)
        if np.abs(np.asarray(transform.apply(Image.fromarray(cube)), int) - cube).max() <= 1:
            return None
    return transform


def gray16_in_srgb(gray: np.ndarray, profile: bytes) -> np.ndarray:
    """Convert gray (H, W) uint16 to sRGB coding. Return it unchanged if the profile does not describe gray soundly."""
    try:
        return _recoded(gray, profile)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return gray


def rgb16_in_srgb(rgb: np.ndarray, profile: bytes) -> np.ndarray:
    """Convert RGB (H, W, 3) uint16 to sRGB.

    The result is uint8 if the profile is a table of colors. It is unchanged if the profile is sRGB itself, or does not
    describe RGB soundly.
    """
    if to_srgb(profile, "RGB") is None:
        return rgb
    with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError, KeyError, TypeError, struct.error):
        curves = [_gray_profile(_tag(profile, name)) for name in (b"rTRC", b"gTRC", b"bTRC")]
        mix = np.linalg.inv(_primaries(ImageCms.createProfile("sRGB"))) @ _primaries(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile
        )
        out = np.empty_like(rgb)
        for top in range(0, len(rgb), ROWS):
            strip = rgb[top : top + ROWS]
            coded = [_recoded(np.ascontiguousarray(strip[..., i]), curve) for i, curve in enumerate(curves)]
            linear = np.stack([linear_table("uint16")[plane] for plane in coded], axis=-1) @ mix.T.astype(np.float32)
            out[top : top + ROWS] = linear_to_srgb(linear.clip(0, 1)) * 65535 + 0.5
        return out
    return np.asarray(in_srgb(Image.fromarray((rgb >> 8).astype(np.uint8)), profile))


def _recoded(gray: np.ndarray, profile: bytes) -> np.ndarray:
    """Convert gray (H, W) uint16 from the curve of a gray profile to sRGB's curve."""
    image = Image.fromarray(gray)
    return np.asarray(_gray_transform(profile).apply(image), np.uint16)


@cache
def _gray_transform(profile: bytes) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.ImageCmsProfile(io.BytesIO(_gray_profile(SRGB_CURVE))),
        "I;16",
        "I;16",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


def _gray_profile(curve: bytes) -> bytes:
    """Return a gray profile (ICC.1:2001, 6.3.1.1) with the given curveType or parametricCurveType."""
    white = b"XYZ \0\0\0\0" + D50
    start = 128 + 4 + 2 * 12
    tags = struct.pack(">I4sII4sII", 2, b"wtpt", start, len(white), b"kTRC", start + len(white), len(curve))
    size = start + len(white) + len(curve)
    header = struct.pack(">I4xI4s4s4s12x4s", size, 0x04000000, b"mntr", b"GRAY", b"XYZ ", b"acsp").ljust(68, b"\0")
    return (header + D50).ljust(128, b"\0") + tags + white + curve


def _tag(profile: bytes, wanted: bytes) -> bytes:
    """Return the data of a profile's tag. Raises `KeyError` if there is no such tag."""
    (number,) = struct.unpack_from(">I", profile, 128)
    for index in range(min(number, 1000)):
        name, start, size = struct.unpack_from(">4sII", profile, 132 + 12 * index)
        if name == wanted:
            return profile[start : start + size]
    raise KeyError(wanted)


def _primaries(profile: Any) -> np.ndarray:
    """Return the XYZ (D50) of red, green and blue as columns. Raises `TypeError` if the profile has none."""
    return np.array(
        [colorant[0] for colorant in (profile.red_colorant, profile.green_colorant, profile.blue_colorant)]
    ).T


@cache
def srgb_profile() -> bytes:
    """Return an ICC profile of sRGB. Its bytes are the same whenever it is made."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes([7, 0xEA, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0])  # creation date, ICC.1:2022, 7.2.8
    return bytes(profile)
