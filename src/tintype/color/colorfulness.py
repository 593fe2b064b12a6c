"""Colorfulness of a photo as a single number."""

from __future__ import annotations

import torch
from torch import Tensor


def colorfulness(rgb: Tensor, epsilon: float = 0.0) -> Tensor:
    """Return the colorfulness of each photo: 0 is gray, 15 slightly, 59 quite and 109 extremely colorful.

    It is sigma + 0.3 mu of the opponent planes rg = R - G and yb = (R + G) / 2 - B, with values in [0, 255]. The planes
    keep their signs, as in the paper. Some implementations take absolute values instead.

    Args:
        rgb: (B, 3, H, W), sRGB in [0, 1].
        epsilon: added under the square roots. A value over 0 makes the gradient of a gray photo finite.

    Returns:
        (B,).

    Source: Hasler and Süsstrunk 2003, doi:10.1117/12.477378.
    """
    rg, yb = _opponent(rgb)
    deviation = (rg.var(dim=1, correction=0) + yb.var(dim=1, correction=0) + epsilon).sqrt()
    mean = (rg.mean(dim=1).square() + yb.mean(dim=1).square() + epsilon).sqrt()
    return deviation + 0.3 * mean


class Colorfulness:
    """Accumulate the `colorfulness` of one photo piece by piece."""

    def __init__(self) -> None:
        self._count = 0
        self._sums = torch.zeros(2, 2, dtype=torch.float64)

    def update(self, rgb: Tensor) -> None:
        """Add a piece: (1, 3, h, w), sRGB in [0, 1]."""
        opponent = torch.cat(_opponent(rgb.double()))
        self._count += opponent.shape[1]
        self._sums += torch.stack([opponent.sum(dim=1), opponent.square().sum(dim=1)])

    def compute(self) -> float:
        """Return the colorfulness of all pieces together."""
        mean, mean_square = self._sums / self._count
        deviation = (mean_square - mean.square()).clamp(min=0).sum().sqrt()
        return float(deviation + 0.3 * mean.square().sum().sqrt())


def _opponent(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """Return the planes R - G and (R + G) / 2 - B of values in [0, 255], (B, H W) each."""
    red, green, blue = (255 * rgb).flatten(2).unbind(dim=1)
    return red - green, (red + green) / 2 - blue
