"""Distances and statistics of colour. All per photo: sRGB (B, 3, H, W) in [0, 1] -> (B,)."""

from __future__ import annotations

from torch import Tensor

from tintype.color import delta_e_ciede2000, rgb_to_lab


def ciede2000(predicted: Tensor, truth: Tensor) -> Tensor:
    """Mean over the pixels; about 1 is just noticeable."""
    return delta_e_ciede2000(rgb_to_lab(predicted), rgb_to_lab(truth)).flatten(1).mean(dim=1)


def colorfulness(rgb: Tensor) -> Tensor:
    """Hasler and Süsstrunk 2003, doi:10.1117/12.477378: 0 is gray, 15 slightly, 59 quite, 109 extremely colourful.

    sigma + 0.3 mu of the opponent planes rg = R - G and yb = (R + G) / 2 - B, of values in [0, 255] and with their
    signs (some implementations take absolute values, the paper does not).
    """
    red, green, blue = (255 * rgb).flatten(2).unbind(dim=1)
    rg, yb = red - green, (red + green) / 2 - blue
    deviation = (rg.var(dim=1, correction=0) + yb.var(dim=1, correction=0)).sqrt()
    mean = (rg.mean(dim=1).square() + yb.mean(dim=1).square()).sqrt()
    return deviation + 0.3 * mean
