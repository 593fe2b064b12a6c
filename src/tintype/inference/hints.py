"""Color hints: colors that a user wants at some spots, spread over areas that look alike.

A hint's color spreads where the path from its spot is cheap. It spreads far over even lightness, hardly across an edge,
and less far into areas that are lighter or darker than the spot. The network's own chroma competes with all hints as
one more color that is equally far from every pixel. So nothing changes far away from the hints.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, median_filter, sobel, uniform_filter
from skimage.color import rgb2lab
from skimage.graph import MCP_Geometric

from tintype.errors import UserError
from tintype.inference.recombination import resized

WORKING = 256
"""Long side, in pixels, at which path costs are measured. This takes 20 ms per hint."""
FINE = 1024
"""Long side, in pixels, at which the borders of the colors are aligned with the photo's edges."""
REACH = 0.4
"""Distance at which a hint and the network have equal weight.

A path as long as the photo's long side costs at least `EVEN`.
"""
EVEN = 0.5
"""Cost of a path over even lightness that is as long as the photo's long side."""
EDGE = 4.0
"""Slope, in L* per pixel at the working size, that adds 1 to the cost. Twice the slope adds 4."""
UNLIKE = 60.0
"""Difference from the L* of the hint's spot that adds 1 to the distance."""
FALLOFF = 4
"""Sharpness of the transition between colors: a weight is the distance to the power of minus this value."""
SMOOTHNESS = 8.0
"""Variance of L* below which the guided filter treats a patch as even."""
COLOR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class Hint:
    """A spot and its color.

    Raises:
        UserError: the spot is outside the photo, or the color is invalid.
    """

    x: float
    """Distance from the left edge as a share of the photo's width, in [0, 1]."""
    y: float
    """Distance from the top edge as a share of the photo's height, in [0, 1]."""
    color: str
    """#rrggbb. Its hue and chroma are used; the lightness stays the photo's."""

    def __post_init__(self) -> None:
        for name, value in (("x", self.x), ("y", self.y)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise UserError(f"hint {name} {value!r}: allowed: 0 to 1, a share of the photo's side")
        if not isinstance(self.color, str) or not COLOR.fullmatch(self.color):
            raise UserError(f"hint color {self.color!r}: allowed: #rrggbb")

    @property
    def ab(self) -> np.ndarray:
        """The color's a and b, (2,) float32 in Lab units."""
        rgb = np.array([int(self.color[start : start + 2], 16) for start in (1, 3, 5)]) / 255
        return rgb2lab(rgb)[1:].astype(np.float32)


def follow_hints(lightness: np.ndarray, ab: np.ndarray, hints: Sequence[Hint]) -> np.ndarray:
    """Apply hints to a network's chroma.

    Colors are blended by geodesic distance (Yatziv and Sapiro, Fast Image and Video Colorization Using Chrominance
    Blending, 2006, https://doi.org/10.1109/TIP.2005.864231), measured at a small size. A guided filter (He et al.,
    2013, https://doi.org/10.1109/TPAMI.2012.213) then aligns the borders with the edges of the lightness.

    Args:
        lightness: (H, W) float32, L* in [0, 100]. Best at full size, because edges are found in it.
        ab: (2, h, w) float32, Lab units, of the same photo at any size.
        hints: hints in any order.
    Returns:
        `ab` itself if there are no hints, else (2, H', W') float32 with the aspect ratio of the lightness and a long
        side of at most `FINE`.
    """
    if not hints:
        return ab
    fine = shrunk(lightness, FINE)
    small = shrunk(fine, WORKING)
    share, *color = guided(small, blended(small, hints), fine)
    return share.clip(0, 1) * np.stack([resized(plane, *fine.shape) for plane in ab]) + color


def blended(lightness: np.ndarray, hints: Sequence[Hint]) -> np.ndarray:
    """Blend the hints and the network by distance: (H, W) L* -> (3, H, W).

    The first plane is the network's share in [0, 1]. The other two are ab of the hints, each weighted by its share.
    """
    mixed, weights = np.zeros((2, *lightness.shape)), np.ones(lightness.shape)
    for hint, distance in zip(hints, distances(lightness, hints), strict=True):
        weight = (distance / REACH + 1e-4) ** -FALLOFF
        weights += weight
        mixed += weight * hint.ab[:, None, None]
    return (np.stack([np.ones_like(weights), *mixed]) / weights).astype(np.float32)


def distances(lightness: np.ndarray, hints: Sequence[Hint]) -> Iterator[np.ndarray]:
    """Yield the distance of each pixel from each hint: (H, W) L* -> (H, W), one per hint."""
    height, width = lightness.shape
    calm = median_filter(lightness, 3)  # removes grain, keeps edges
    slope = np.hypot(sobel(calm, axis=0), sobel(calm, axis=1)) / 8
    price = (EVEN + (slope / EDGE) ** 2) / max(height, width)
    tone = gaussian_filter(lightness, 2)
    for hint in hints:
        spot = min(int(hint.y * height), height - 1), min(int(hint.x * width), width - 1)
        way, _ = MCP_Geometric(price).find_costs([spot])
        yield way + np.abs(tone - tone[spot]) / UNLIKE


def guided(lightness: np.ndarray, planes: np.ndarray, fine: np.ndarray) -> np.ndarray:
    """Enlarge planes so that their borders follow the edges of a larger lightness.

    This is the fast guided filter: it computes coefficients at the small size and applies them at the large one (He and
    Sun, arXiv:1505.00996).

    Args:
        lightness: (h, w), L*.
        planes: (C, h, w).
        fine: (H, W), the same L* at its larger size.
    Returns:
        (C, H, W) float32.
    """

    def mean(plane: np.ndarray) -> np.ndarray:
        return uniform_filter(plane, 5, mode="nearest")

    level = mean(lightness)
    variance = mean(lightness * lightness) - level * level
    out = np.empty((len(planes), *fine.shape), np.float32)
    for plane, enlarged in zip(planes, out, strict=True):
        gain = (mean(lightness * plane) - level * mean(plane)) / (variance + np.float32(SMOOTHNESS))
        offset = mean(plane) - gain * level
        enlarged[:] = resized(mean(gain), *fine.shape) * fine + resized(mean(offset), *fine.shape)
    return out


def shrunk(plane: np.ndarray, longest: int) -> np.ndarray:
    """Shrink a plane, (H, W) float32, to a long side of at most `longest`. The aspect ratio stays the same."""
    scale = longest / max(plane.shape)
    if scale >= 1:
        return plane
    height, width = (max(1, round(side * scale)) for side in plane.shape)
    return resized(plane, height, width)
