"""Gamut mapping to sRGB: keeps hue and lightness, reduces chroma.

This is the rule for colored photos. Training and metrics clip instead, in `tintype.color.lab.lab_to_rgb`.
"""

from __future__ import annotations

import numpy as np

from tintype.color.lab_numpy import lab_to_linear_rgb


def fit_gamut(L: np.ndarray, a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    """Convert Lab to linear R, G and B planes in [0, 1], lowering chroma where the color is outside the sRGB gamut."""
    planes = lab_to_linear_rgb(L, a, b)
    outside = _excess(planes) > 1e-5
    if outside.any():
        L, a, b = L[outside], a[outside], b[outside]
        scale = np.zeros_like(L)
        for halving in range(1, 9):  # bisection to 1/256 of the chroma
            tried = scale + np.float32(0.5**halving)
            fits = _excess(lab_to_linear_rgb(L, tried * a, tried * b)) <= 0
            scale = np.where(fits, tried, scale)
        for plane, mapped in zip(planes, lab_to_linear_rgb(L, scale * a, scale * b), strict=True):
            plane[outside] = mapped
    return [plane.clip(0, 1, out=plane) for plane in planes]


def _excess(planes: list[np.ndarray]) -> np.ndarray:
    """Return how far each pixel's farthest plane lies outside [0, 1]. Negative values are inside."""
    red, green, blue = (np.abs(plane - np.float32(0.5)) for plane in planes)
    return np.maximum(np.maximum(red, green), blue) - np.float32(0.5)
