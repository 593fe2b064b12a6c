"""Lab and sRGB conversions in NumPy, for whole photos on machines without torch.

The constants are those of `tintype.color.constants`.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from tintype.color.constants import RGB_FROM_XYZ, WHITE, XYZ_FROM_RGB

FULL_SCALE = {"uint8": 255, "uint16": 65535, "float32": 1}
"""The value of white for each pixel dtype."""
CELLS = 1 << 16
"""Cells of the table from linear light to 8-bit sRGB. The darkest level is 20 cells wide."""


def srgb_to_lightness(pixels: np.ndarray) -> np.ndarray:
    """Convert sRGB to L*. Integer types use lookup tables instead of a power per pixel."""
    if pixels.dtype == np.float32:
        return luminance_to_lightness(
            srgb_to_linear(pixels) if pixels.ndim == 2 else srgb_to_linear(pixels) @ _luminance()
        )
    if pixels.ndim == 2:
        return _lightness_table(pixels.dtype.name)[pixels]
    return luminance_to_lightness(linear_table(pixels.dtype.name)[pixels] @ _luminance())


def _luminance() -> np.ndarray:
    """Return the weights of linear R, G and B in Y as (3,) float32, such that Y of white is 1."""
    return np.array(XYZ_FROM_RGB[1], np.float32)


def srgb_to_linear(coded: np.ndarray) -> np.ndarray:
    """Convert sRGB in [0, 1] to linear light."""
    coded = coded.clip(0, 1)
    return np.where(coded > 0.04045, ((coded + 0.055) / 1.055) ** 2.4, coded / 12.92).astype(np.float32)


def luminance_to_lightness(luminance: np.ndarray) -> np.ndarray:
    """Convert luminance Y in [0, 1] to L*."""
    return (
        116 * np.where(luminance > 0.008856, np.cbrt(luminance), 7.787 * luminance + 16 / 116).astype(np.float32) - 16
    )


@cache
def linear_table(dtype: str) -> np.ndarray:
    """Return the linear light of every level of an unsigned dtype, given by name, as float32."""
    white = FULL_SCALE[dtype]
    return srgb_to_linear(np.arange(white + 1, dtype=np.float64) / white)


@cache
def _lightness_table(dtype: str) -> np.ndarray:
    return luminance_to_lightness(linear_table(dtype))


def lab_to_linear_rgb(L: np.ndarray, a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    """Convert Lab planes to planes of linear R, G and B. Some values may lie outside [0, 1]."""
    fy = (L + np.float32(16)) / np.float32(116)
    x, y, z = (_of_f(f) for f in (fy + a / np.float32(500), fy, fy - b / np.float32(200)))
    return [np.float32(row[0]) * x + np.float32(row[1]) * y + np.float32(row[2]) * z for row in _RGB_FROM_WHITES]


def _of_f(f: np.ndarray) -> np.ndarray:
    """Convert Lab's cube roots to X, Y or Z in units of the white point."""
    cubes = f * f * f
    if (dark := f <= 0.2068966).any():
        cubes[dark] = (f[dark] - np.float32(16 / 116)) / np.float32(7.787)
    return cubes


_RGB_FROM_WHITES = np.array(RGB_FROM_XYZ) * np.array(WHITE)


def encode_srgb(planes: list[np.ndarray], dtype: np.dtype) -> np.ndarray:
    """Convert planes of linear light in [0, 1] to (..., 3) sRGB of `dtype`."""
    out = np.empty((*planes[0].shape, 3), dtype)
    for channel, linear in enumerate(planes):
        if dtype == np.uint8:
            out[..., channel] = _levels()[(linear * np.float32(CELLS - 1) + np.float32(0.5)).astype(np.uint16)]
        elif dtype == np.float32:
            out[..., channel] = linear_to_srgb(linear)
        else:
            out[..., channel] = linear_to_srgb(linear) * FULL_SCALE[dtype.name] + 0.5
    return out


def linear_to_srgb(linear: np.ndarray) -> np.ndarray:
    """Convert linear light in [0, 1] to sRGB in [0, 1]."""
    return np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)


@cache
def _levels() -> np.ndarray:
    """Return the 8-bit sRGB level for linear light in steps of 1/65535."""
    return (linear_to_srgb(np.arange(CELLS) / (CELLS - 1)) * 255 + 0.5).astype(np.uint8)
