"""Brushes for painting a scene, and a small camera that photographs it."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

Field = NDArray[Any]  # (H, W), or (3, H, W) for a color; float64
WARM = np.array([1.1, 1.0, 0.85])[:, None, None]  # light is warmer than shadow


@cache
def rgb(code: str) -> Field:
    """Return the color "rrggbb" as (3, 1, 1) in [0, 1]."""
    return np.frombuffer(bytes.fromhex(code), np.uint8)[:, None, None] / 255


def soft(inside: Field, edge: float = 0.02) -> Field:
    """Return an anti-aliased mask: 1 where `inside` exceeds edge/2, 0 where it is under -edge/2."""
    return np.clip(0.5 + inside / edge, 0, 1)


def blend(first: Field, second: Field, amount: Field | float) -> Field:
    """Blend from one color to the other as `amount` (H, W) goes from 0 to 1."""
    return first + (second - first) * np.clip(amount, 0, 1)


def fbm(rng: np.random.Generator, height: int, width: int, rows: float, columns: float, octaves: int) -> Field:
    """Return fractal value noise (H, W) with mean 0 and deviation 1.

    It sums random grids, each twice as fine and half as strong as the one before.
    """
    total = np.zeros((height, width))
    for octave in range(octaves):
        cells = max(2, round(rows * 2**octave)), max(2, round(columns * 2**octave))
        grid = Image.fromarray(rng.random(cells, np.float32))
        total += np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC)) / 2**octave
    return (total - total.mean()) / total.std()


class Canvas:
    """A photo in the making: `rgb` (3, H, W), sRGB in [0, 1].

    Lengths, x and y are in units of the photo's height, from the top left.
    """

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        short, long = (int(side) for side in rng.integers((80, 97), (97, 129)))
        self.height, self.width = (long, short) if rng.random() < 0.2 else (short, long)
        self.right = self.width / self.height
        self.y, self.x = np.mgrid[: self.height, : self.width] / self.height
        self.rgb: Field = np.zeros((3, self.height, self.width))

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return bool(self.rng.random() < probability)

    def between(self, low: float, high: float) -> float:
        """Draw a number uniformly from [low, high)."""
        return float(self.rng.uniform(low, high))

    def tone(self, *codes: str) -> Field:
        """Return a random mixture of the colors, (3, 1, 1)."""
        parts = self.rng.standard_exponential(len(codes), np.float32)
        return sum((part * rgb(code) for part, code in zip(parts, codes, strict=True)), np.float64(0)) / parts.sum()

    def noise(self, cells: float, stretch: float = 1, octaves: int = 3) -> Field:
        """Return noise (H, W) with mean 0 and deviation 1.

        The photo's height has `cells` cells, each `stretch` times as wide as high.
        """
        return fbm(self.rng, self.height, self.width, cells, cells * self.right / stretch, octaves)

    def ground(self, horizon: float, cells: float, stretch: float = 1) -> Field:
        """Return noise on a plane seen in perspective, fading towards the horizon."""
        tile, depth = fbm(self.rng, 96, 96, 24, 24, 3), 1 / np.maximum(self.y - horizon, 0.02)
        lines = [6 * cells * depth, (self.x - self.right / 2) * depth * 4 * cells / stretch + 48]
        return map_coordinates(tile, lines, order=1, mode="grid-wrap") * np.clip((self.y - horizon) * 4, 0.15, 1)

    def skyline(self, level: float, height: float, cells: float, octaves: int = 4) -> Field:
        """Return y (1, W) of a rough line around `level`."""
        return level + height * fbm(self.rng, 2, self.width, 2, cells * self.right, octaves)[:1] / 2

    def below(self, line: Field | float) -> Field:
        """Return a mask of everything under `line`."""
        return soft(self.y - line)

    def blob(self, x: float, y: float, wide: float, high: float, tilt: float = 0) -> tuple[Field, Field, Field, Field]:
        """Return the mask and the shade of an ellipsoid lit from the upper left, and coordinates across and down it.

        The coordinates are 1 at its rim.
        """
        dx, dy, cos, sin = self.x - x, self.y - y, math.cos(tilt), math.sin(tilt)
        u, v = (dx * cos + dy * sin) / wide, (dy * cos - dx * sin) / high
        rho = np.hypot(u, v)
        facing = np.sqrt(np.maximum(0, 1 - rho**2))
        return soft((1 - rho) * min(wide, high)), 0.5 + (0.55 - 0.25 * (u + v)) * facing, u, v

    def paint(self, mask: Field | float, color: Field, shade: Field | float = 1.0) -> None:
        """Paint a color over the photo. A shade under 1 is cooler shadow, a shade over 1 is warmer light."""
        self.rgb += mask * (color * (1 + (shade - 1) * WARM) - self.rgb)

    def mirror(self, line: float, tint: Field, strength: float, ripple: Field) -> None:
        """Paint water from `line` down.

        It mixes the water's own color with an upside-down reflection of what stands above, broken by `ripple`.
        """
        rows = (line - 0.8 * (self.y - line) + 0.025 * ripple) * self.height
        above = self.rgb[:, np.clip(rows, 0, line * self.height - 1).astype(int), np.arange(self.width)]
        self.paint(self.below(line), blend(tint, above, strength), 1 + 0.1 * ripple)

    def developed(self) -> Image.Image:
        """Return the photo as a small camera takes it: exposure, white balance, vignette, blur, sensor noise."""
        vignette = 1 - self.between(0.1, 0.35) * ((self.y - 0.5) ** 2 + (self.x - self.right / 2) ** 2)
        balance = self.rng.normal(self.between(0.9, 1.08), 0.015, (3, 1, 1))
        sigma = self.between(0.4, 0.75)
        photo = gaussian_filter(self.rgb * vignette * balance, (0, sigma, sigma), truncate=3)
        photo += 0.010 * self.rng.standard_normal((self.height, self.width), np.float32)
        photo += 0.006 * self.rng.standard_normal(photo.shape, np.float32)
        return Image.fromarray((np.clip(photo, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0).copy())
