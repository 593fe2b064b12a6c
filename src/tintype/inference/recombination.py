"""A photo's lightness, and its recombination with predicted chroma into a photo in color.

Both run in NumPy, strip by strip. Besides the photo and the result, memory holds one strip per thread, whatever the
photo's size. Lab is that of `tintype.color.constants`.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from tintype.color.gamut import fit_gamut
from tintype.color.lab_numpy import encode_srgb, srgb_to_lightness
from tintype.images.strips import in_strips


def lightness_of(pixels: np.ndarray) -> np.ndarray:
    """Return the CIE L* of a photo.

    Args:
        pixels: (H, W) gray or (H, W, 3) color, sRGB-coded; uint8, uint16, or float32 in [0, 1].
    Returns:
        (H, W) float32, in [0, 100].
    """
    lightness = np.empty(pixels.shape[:2], np.float32)

    def convert(rows: slice) -> None:
        lightness[rows] = srgb_to_lightness(pixels[rows])

    in_strips(convert, pixels.shape[0], pixels.shape[1])
    return lightness


def recombine(pixels: np.ndarray, ab: np.ndarray) -> np.ndarray:
    """Return the photo with its own L* and the chroma `ab`, enlarged to the photo's size.

    Where the color is outside the sRGB gamut, the chroma is lowered until it is inside. Hue and L* stay the same.

    Args:
        pixels: (H, W) gray or (H, W, 3) color, sRGB-coded; uint8, uint16, or float32 in [0, 1].
        ab: (2, h, w) float32 of any size, Lab units.
    Returns:
        (H, W, 3) sRGB of the photo's type.
    """
    height, width = pixels.shape[:2]
    out = np.empty((height, width, 3), pixels.dtype)
    planes = [Image.fromarray(np.ascontiguousarray(plane, np.float32)) for plane in ab]

    def join(rows: slice) -> None:
        box = (0.0, rows.start * ab.shape[1] / height, float(ab.shape[2]), rows.stop * ab.shape[1] / height)
        size = (width, rows.stop - rows.start)
        a, b = (np.asarray(plane.resize(size, Image.Resampling.BICUBIC, box)) for plane in planes)
        out[rows] = encode_srgb(fit_gamut(srgb_to_lightness(pixels[rows]), a, b), pixels.dtype)

    in_strips(join, height, width)
    return out


def resized(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize a plane, (H, W) float32 -> (height, width) float32. Shrinking averages pixels."""
    small = Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(small, np.float32)
