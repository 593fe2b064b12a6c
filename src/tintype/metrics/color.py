"""Color metrics. Each is per photo: sRGB (B, 3, H, W) in [0, 1] -> (B,)."""

from __future__ import annotations

from torch import Tensor

from tintype.color.colorfulness import colorfulness
from tintype.color.difference import delta_e_ciede2000
from tintype.color.lab import rgb_to_lab

__all__ = ["ciede2000", "colorfulness"]


def ciede2000(predicted: Tensor, truth: Tensor) -> Tensor:
    """Return CIEDE2000, averaged over the pixels. About 1 is just noticeable."""
    return delta_e_ciede2000(rgb_to_lab(predicted), rgb_to_lab(truth)).flatten(1).mean(dim=1)
