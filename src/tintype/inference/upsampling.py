"""Upsampling of chroma along the edges of the photo's own lightness.

A network predicts chroma on a grid of 40 to 64 cells per side. With bicubic interpolation alone, the color of an object
bleeds over its border by half a cell, which is 30 pixels of a 12-megapixel photo. Where chroma and lightness change
together on the grid, the lightness between the cells shows where the border is.

So chroma is doubled in size step by step. Each step is bicubic interpolation plus detail: the lightness that the same
interpolation misses, times the slope of the local linear regression of chroma on lightness. The slope is that of the
guided filter (He and Sun, Fast Guided Filter, arXiv:1505.00996). Applying it only to the missing detail, as in
pan-sharpening (Aiazzi et al. 2002, doi:10.1109/TGRS.2002.803623), preserves the network's own chroma, which the guided
filter would blur. The slope is weighted by the regression's R², so that texture and film grain, which explain nothing
of the chroma, do not become color.

``python -m benchmarks.edges`` compares this with the alternatives. The tables are in docs/results/edges.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image
from scipy.ndimage import uniform_filter

SIDE = 512
"""Short side, in pixels, up to which chroma follows edges. Bicubic interpolation does the rest.

Ratio of CIEDE2000 near edges to that of bicubic interpolation alone, on 30 photos of 1 to 20 megapixels: 0.786 with
256, 0.774 with 384, 0.769 with 512, 0.767 with 768.
"""
WINDOW = 3
"""Side of the regression windows, in cells of the grid.

The same ratio on 41 small photos: 0.892 with 3, 0.915 with 5.
"""
LIGHTNESS_NOISE = 2.0
"""Variance of L* that counts as noise. Smaller values turn film grain into color; larger ones miss faint edges.

For this constant and the next, see "Constants" in docs/results/edges.md.
"""
CHROMA_NOISE = 1.0
"""Variance of a or b that counts as noise."""


def upsample(ab: np.ndarray, lightness: np.ndarray) -> np.ndarray:
    """Enlarge chroma along the edges of lightness.

    Args:
        ab: (2, h, w) float32, Lab units, on the grid on which it was predicted.
        lightness: (H, W) float32, L* in [0, 100], of the same photo, at best with a short side of at most `SIDE`.
    Returns:
        (2, H, W) float32, or `ab` itself if the lightness has about the same size or is smaller.
    """
    for size in _sizes(ab.shape[1:], lightness.shape):
        ab = _doubled(ab, lightness, size)
    return ab


def predicted_grid(ab: np.ndarray, stride: int) -> np.ndarray:
    """Recover the grid of chroma that a network predicted before it enlarged the grid by interpolation.

    The center of a cell lies between two pixels, which interpolation has changed least.

    Args:
        ab: (2, h, w) float32.
        stride: factor by which the network enlarged the grid. It is 1, or even.
    Returns:
        (2, ceil(h / stride), ceil(w / stride)) float32.
    """
    if stride == 1:
        return ab
    for axis in (1, 2):
        beside_center = np.arange(0, ab.shape[axis], stride) + stride // 2
        before, after = (ab.take(index, axis, mode="clip") for index in (beside_center - 1, beside_center))
        ab = (before + after) / 2
    return ab


def _sizes(small: tuple[int, ...], large: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Yield heights and widths from `small` to `large`. Each is about twice the one before; the last is `large`."""
    doublings = max(0, round(float(np.log2(min(large) / min(small)))))
    for step in reversed(range(doublings)):
        yield max(1, large[0] >> step), max(1, large[1] >> step)


def _doubled(ab: np.ndarray, lightness: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Run one step: (2, h, w) ab, (H, W) L* of any larger size -> (2, *size) ab."""
    coarse = _resized(lightness, ab.shape[1:], Image.Resampling.BOX)
    detail = _resized(lightness, size, Image.Resampling.BOX) - _resized(coarse, size, Image.Resampling.BICUBIC)
    lightness_mean = _mean(coarse)
    lightness_variance = (_mean(coarse * coarse) - lightness_mean**2).clip(0) + np.float32(LIGHTNESS_NOISE)
    out = np.empty((len(ab), *size), np.float32)
    for plane, enlarged in zip(ab, out, strict=True):
        centered = plane - plane[0, 0]  # so that a constant plane has a covariance of exactly 0
        mean = _mean(centered)
        variance = (_mean(centered * centered) - mean**2).clip(0) + np.float32(CHROMA_NOISE)
        covariance = _mean(coarse * centered) - lightness_mean * mean
        r_squared = covariance**2 / (lightness_variance * variance)
        slope = _mean(covariance / lightness_variance * r_squared)
        enlarged[:] = _resized(plane, size, Image.Resampling.BICUBIC)
        enlarged += _resized(slope, size, Image.Resampling.BILINEAR) * detail
    return out


def _mean(plane: np.ndarray) -> np.ndarray:
    return uniform_filter(plane, WINDOW, mode="nearest")


def _resized(plane: np.ndarray, size: tuple[int, ...], method: Image.Resampling) -> np.ndarray:
    """Resize a plane, (h, w) float32 -> (*size) float32."""
    height, width = size
    return np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize((width, height), method))
