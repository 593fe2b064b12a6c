"""Conversion of photos to sRGB by their ICC profiles.

Pillow's binding to LittleCMS converts 16-bit images only if they are gray. That is enough: an RGB profile of the usual
kind (a matrix and three curves, ICC.1:2022, F.3) is equivalent to three gray profiles and a matrix.
"""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from tintype.color.lab_numpy import linear_table, linear_to_srgb
from tintype.images.transform_cache import TransformCache

# sRGB's curve (IEC 61966-2-1) as a parametricCurveType of type 3, ICC.1:2022, 10.18: (a X + b)^g, and c X below d.
SRGB_CURVE = b"para\0\0\0\0" + struct.pack(
    ">HH5i", 3, 0, *(round(x * 65536) for x in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
)
D50 = struct.pack(">3i", 63190, 65536, 54061)
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
"""From XYZ to the cones in which white points are adapted, ICC.1:2022, E.2."""
ROWS = 256
"""Rows that are converted at a time."""
_TRANSFORMS = TransformCache(8)
"""From profiles to sRGB. Photos of one camera or scanner share a profile."""
_CURVES = TransformCache(8)
"""From the curves of profiles to sRGB's curve."""


def in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert an image to sRGB by its profile.

    Without a usable profile (none, a broken one, or one for other channels), Pillow's plain formulas convert it. CMYK
    is handled the same way: Pillow has already undone Adobe's inversion, and only the profile describes the inks.
    """
    transform = to_srgb(profile, image.mode) if profile else None
    return transform.apply(image) if transform else image.convert("RGB")


def to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from `profile` to sRGB, or None if there is nothing to do or the profile is unusable."""
    return _TRANSFORMS.get(profile, mode, _to_srgb)


def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
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


def gray_in_srgb(gray: np.ndarray, profile: bytes) -> np.ndarray:
    """Convert gray (H, W), uint8 or uint16, to sRGB coding.

    Return it unchanged if the profile does not describe gray soundly.
    """
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
        curves = [gray_profile(_tag(profile, name)) for name in (b"rTRC", b"gTRC", b"bTRC")]
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
    """Convert gray (H, W) from the curve of a gray profile to sRGB's curve."""
    table: np.ndarray = _CURVES.get(profile, {"uint8": "L", "uint16": "I;16"}[gray.dtype.name], _table)
    return table[gray]


def _table(profile: bytes, mode: str) -> np.ndarray:
    """Return what each gray becomes.

    All of them are converted without LittleCMS' optimization, whose tables are off by 9 levels of 255 in dark grays of
    linear light.
    """
    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.ImageCmsProfile(io.BytesIO(gray_profile(SRGB_CURVE))),
        mode,
        mode,
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOOPTIMIZE,
    )
    dtype = np.uint8 if mode == "L" else np.uint16
    levels = np.arange(np.iinfo(dtype).max + 1).astype(dtype)[None]
    return np.asarray(transform.apply(Image.fromarray(levels)), dtype)[0]


def gray_profile(curve: bytes) -> bytes:
    """Return a gray profile (ICC.1:2001, 6.3.1.1) with the given curveType or parametricCurveType."""
    return _made(b"GRAY", {b"wtpt": b"XYZ \0\0\0\0" + D50, b"kTRC": curve})


def rgb_profile(white: Sequence[float], primaries: Sequence[Sequence[float]], curve: bytes) -> bytes:
    """Return an RGB profile (ICC.1:2001, 6.3.1.2) of three primaries and one curve.

    Args:
        white: chromaticity (x, y).
        primaries: those of red, green and blue.
        curve: curveType or parametricCurveType.
    Raises:
        numpy.linalg.LinAlgError, ZeroDivisionError, struct.error: no light has these chromaticities.
    """

    def xyz(x: float, y: float) -> np.ndarray:
        return np.array([x / y, 1, (1 - x - y) / y])

    columns = np.stack([xyz(*one) for one in primaries], axis=1)
    columns = columns * np.linalg.solve(columns, xyz(*white))
    cones = BRADFORD @ np.array(struct.unpack(">3i", D50)) / 65536 / (BRADFORD @ xyz(*white))
    columns = np.linalg.inv(BRADFORD) @ np.diag(cones) @ BRADFORD @ columns
    tags = {b"wtpt": b"XYZ \0\0\0\0" + D50}
    for name, column in zip(b"rgb", columns.T, strict=True):
        tags[bytes([name]) + b"XYZ"] = b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(x * 65536) for x in column))
        tags[bytes([name]) + b"TRC"] = curve
    return _made(b"RGB ", tags)


def _made(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Return a profile of a display with the given tags."""
    table, content, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, tag in tags.items():
        table += struct.pack(">4sII", name, start + len(content), len(tag))
        content += tag.ljust(-(-len(tag) // 4) * 4, b"\0")
    size = start + len(content)
    header = struct.pack(">I4xI4s4s4s12x4s", size, 0x04000000, b"mntr", space, b"XYZ ", b"acsp").ljust(68, b"\0")
    return (header + D50).ljust(128, b"\0") + table + content


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
