"""A photo's lightness, and the photo in color: the lightness it has, joined to the chroma it gets.

In NumPy, strip by strip: the memory beside the photo and its answer is that of one strip, whatever the photo's size.
Lab is that of `tintype.cielab`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
from PIL import Image

from tintype.cielab import RGB_FROM_XYZ, WHITE, XYZ_FROM_RGB

STRIP = 1 << 16
"""Pixels that are converted at a time."""
THREADS = min(4, os.cpu_count() or 1)
FULL_SCALE = {"uint8": 255, "uint16": 65535, "float32": 1}
"""Which types pixels come in, and white in them."""
CELLS = 1 << 16
"""Of the table from linear light to 8-bit sRGB: the darkest level is 20 cells wide."""


def lightness_of(pixels: np.ndarray) -> np.ndarray:
    """CIE L* of a photo.

    Args:
        pixels: (H, W) gray or (H, W, 3) color, sRGB-coded; uint8, uint16, or float32 in [0, 1].
    Returns:
        (H, W) float32, in [0, 100].
    """
    lightness = np.empty(pixels.shape[:2], np.float32)

    def convert(rows: slice) -> None:
        lightness[rows] = _lightness(pixels[rows])

    _in_strips(convert, pixels.shape[0], pixels.shape[1])
    return lightness


def joined(pixels: np.ndarray, ab: np.ndarray) -> np.ndarray:
    """The photo with its own L* and, enlarged to its size, the chroma `ab`.

    Where sRGB has no color of that lightness and chroma, the chroma is lowered until it has: hue and L* stay.

    Args:
        pixels: (H, W) gray or (H, W, 3) color, sRGB-coded; uint8, uint16, or float32 in [0, 1].
        ab: (2, h, w) float32, Lab units; of any size.
    Returns:
        (H, W, 3) of the photo's type, sRGB.
    """
    height, width = pixels.shape[:2]
    out = np.empty((height, width, 3), pixels.dtype)
    planes = [Image.fromarray(np.ascontiguousarray(plane, np.float32)) for plane in ab]

    def join(rows: slice) -> None:
        box = (0.0, rows.start * ab.shape[1] / height, float(ab.shape[2]), rows.stop * ab.shape[1] / height)
        size = (width, rows.stop - rows.start)
        a, b = (np.asarray(plane.resize(size, Image.Resampling.BICUBIC, box)) for plane in planes)
        out[rows] = _coded(_in_gamut(_lightness(pixels[rows]), a, b), pixels.dtype)

    _in_strips(join, height, width)
    return out


def resized(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W) float32 -> (height, width) float32; averages where it shrinks."""
    small = Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(small, np.float32)


def _in_strips(work: Callable[[slice], None], height: int, width: int) -> None:
    """Do `work` on all rows of a photo, some at a time; NumPy lets threads run side by side."""
    rows = max(1, STRIP // width)
    strips = [slice(top, min(height, top + rows)) for top in range(0, height, rows)]
    if len(strips) < 2 * THREADS:
        for strip in strips:
            work(strip)
        return
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, strips))


def _lightness(pixels: np.ndarray) -> np.ndarray:
    """L*, without a power a pixel where the type has few levels."""
    if pixels.dtype == np.float32:
        return _of_linear(linear_of(pixels) if pixels.ndim == 2 else linear_of(pixels) @ _luminance())
    if pixels.ndim == 2:
        return _lightness_table(pixels.dtype.name)[pixels]
    return _of_linear(linear_table(pixels.dtype.name)[pixels] @ _luminance())


def _luminance() -> np.ndarray:
    """Weights of linear R, G, B in Y, such that white's is 1: (3,) float32."""
    return np.array(XYZ_FROM_RGB[1], np.float32)


def linear_of(coded: np.ndarray) -> np.ndarray:
    """SRGB in [0, 1] -> linear light."""
    coded = coded.clip(0, 1)
    return np.where(coded > 0.04045, ((coded + 0.055) / 1.055) ** 2.4, coded / 12.92).astype(np.float32)


def _of_linear(luminance: np.ndarray) -> np.ndarray:
    """Y in [0, 1] -> L*."""
    return (
        116 * np.where(luminance > 0.008856, np.cbrt(luminance), 7.787 * luminance + 16 / 116).astype(np.float32) - 16
    )


@cache
def linear_table(dtype: str) -> np.ndarray:
    """The linear light of every level of an unsigned type, by its name: float32."""
    white = FULL_SCALE[dtype]
    return linear_of(np.arange(white + 1, dtype=np.float64) / white)


@cache
def _lightness_table(dtype: str) -> np.ndarray:
    return _of_linear(linear_table(dtype))


def _in_gamut(L: np.ndarray, a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    """Lab -> planes of linear R, G and B in [0, 1]; chroma is lowered where it must be."""
    planes = _linear_rgb(L, a, b)
    outside = _excess(planes) > 1e-5
    if outside.any():
        L, a, b = L[outside], a[outside], b[outside]
        scale = np.zeros_like(L)
        for halving in range(1, 9):  # bisection, to 1/256 of the chroma
            tried = scale + np.float32(0.5**halving)
            fits = _excess(_linear_rgb(L, tried * a, tried * b)) <= 0
            scale = np.where(fits, tried, scale)
        for plane, mapped in zip(planes, _linear_rgb(L, scale * a, scale * b), strict=True):
            plane[outside] = mapped
    return [plane.clip(0, 1, out=plane) for plane in planes]


def _excess(planes: list[np.ndarray]) -> np.ndarray:
    """By how much a pixel's farthest plane is outside [0, 1]; negative: inside."""
    red, green, blue = (np.abs(plane - np.float32(0.5)) for plane in planes)
    return np.maximum(np.maximum(red, green), blue) - np.float32(0.5)


def _linear_rgb(L: np.ndarray, a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    """Lab planes -> planes of linear R, G and B, some outside [0, 1]."""
    fy = (L + np.float32(16)) / np.float32(116)
    x, y, z = (_of_f(f) for f in (fy + a / np.float32(500), fy, fy - b / np.float32(200)))
    return [np.float32(row[0]) * x + np.float32(row[1]) * y + np.float32(row[2]) * z for row in _RGB_FROM_WHITES]


def _of_f(f: np.ndarray) -> np.ndarray:
    """Lab's cube roots -> X, Y or Z, in units of white's."""
    cubes = f * f * f
    if (dark := f <= 0.2068966).any():
        cubes[dark] = (f[dark] - np.float32(16 / 116)) / np.float32(7.787)
    return cubes


_RGB_FROM_WHITES = np.array(RGB_FROM_XYZ) * np.array(WHITE)


def _coded(planes: list[np.ndarray], dtype: np.dtype) -> np.ndarray:
    """Planes of linear light in [0, 1] -> (..., 3) sRGB of `dtype`."""
    out = np.empty((*planes[0].shape, 3), dtype)
    for channel, linear in enumerate(planes):
        if dtype == np.uint8:
            out[..., channel] = _levels()[(linear * np.float32(CELLS - 1) + np.float32(0.5)).astype(np.uint16)]
        elif dtype == np.float32:
            out[..., channel] = srgb_of(linear)
        else:
            out[..., channel] = srgb_of(linear) * FULL_SCALE[dtype.name] + 0.5
    return out


def srgb_of(linear: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1] -> sRGB in [0, 1]."""
    return np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)


@cache
def _levels() -> np.ndarray:
    """The 8-bit sRGB level of linear light in 1/65535."""
    return (srgb_of(np.arange(CELLS) / (CELLS - 1)) * 255 + 0.5).astype(np.uint8)
