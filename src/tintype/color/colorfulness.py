"""How colorful a photo is, by one number."""

from __future__ import annotations

from torch import Tensor


def colorfulness(rgb: Tensor, epsilon: float = 0.0) -> Tensor:
    """Hasler and Süsstrunk 2003, doi:10.1117/12.477378: 0 is gray, 15 slightly, 59 quite, 109 extremely colorful.

    sigma + 0.3 mu of the opponent planes rg = R - G and yb = (R + G) / 2 - B, of values in [0, 255] and with their
    signs (some implementations take absolute values, the paper does not).

    Args:
        rgb: (B, 3, H, W), sRGB in [0, 1].
        epsilon: added under the roots; over 0, the gradient of a gray photo is finite.

    Returns:
        (B,).
    """
    red, green, blue = (255 * rgb).flatten(2).unbind(dim=1)
    rg, yb = red - green, (red + green) / 2 - blue
    deviation = (rg.var(dim=1, correction=0) + yb.var(dim=1, correction=0) + epsilon).sqrt()
    mean = (rg.mean(dim=1).square() + yb.mean(dim=1).square() + epsilon).sqrt()
    return deviation + 0.3 * mean
