"""The colour spaces in which networks work: what a generator sees, what it predicts, and the colour that both make.

All are derived from Lab on the device, and all conversions are differentiable with finite gradients. What a generator
sees is called lightness in every space (L*, luma, value), what it predicts is called chroma (in `rgb`: all planes).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from tintype.color.lab import lab_to_net, lab_to_rgb, net_to_lab, to_uint8

LUMA = (0.299, 0.587, 0.114)
"""Weights of R', G', B' (ITU-R BT.601-7, 2.5.1)."""


class ColorSpace(NamedTuple):
    """A space of the networks, network units."""

    planes: int
    """How many a generator predicts."""
    signed: bool
    """Whether values lie in [-1, 1]; else in [0, 1]."""
    split: Callable[[Tensor], tuple[Tensor, Tensor]]
    """Lab (B, 3, H, W) -> lightness (B, 1, H, W), chroma (B, planes, H, W)."""
    to_rgb: Callable[[Tensor, Tensor], Tensor]
    """Lightness, chroma -> sRGB (B, 3, H, W) in [0, 1]; what sRGB does not have is clipped."""


def rgb_to_hsv(rgb: Tensor) -> Tensor:
    """Hue, saturation, value: (..., 3, H, W) in [0, 1] -> the same; the hue of gray is 0, red is 0, green 1/3.

    Source: Smith 1978, "Color gamut transform pairs", doi:10.1145/800248.807361.
    """
    red, green, blue = rgb.unbind(dim=-3)
    value, low = rgb.amax(dim=-3), rgb.amin(dim=-3)
    delta = value - low
    safe = torch.where(delta > 0, delta, torch.ones_like(delta))  # the branch not taken stays finite, its gradient too
    sector = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    hue = torch.where(delta > 0, (sector / 6) % 1, torch.zeros_like(delta))
    saturation = delta / torch.where(value > 0, value, torch.ones_like(value))
    return torch.stack([hue, saturation, value], dim=-3)


def hsv_to_rgb(hsv: Tensor) -> Tensor:
    """The inverse of `rgb_to_hsv`; any hue is taken modulo 1."""
    hue, saturation, value = hsv.unbind(dim=-3)

    def channel(shift: float) -> Tensor:
        sector = (shift + 6 * hue) % 6
        return value * (1 - saturation * torch.minimum(sector, 4 - sector).clamp(0, 1))

    return torch.stack([channel(5.0), channel(3.0), channel(1.0)], dim=-3)


def rgb_to_ycbcr(rgb: Tensor) -> Tensor:
    """Luma and two colour differences: (..., 3, H, W) in [0, 1] -> the same, gray has Cb = Cr = 1/2.

    Full range, as in JPEG. Source: ITU-T T.871, clause 7.
    """
    luma = _luma(rgb)
    red, _, blue = rgb.unbind(dim=-3)
    return torch.stack([luma, (blue - luma) / (2 - 2 * LUMA[2]) + 0.5, (red - luma) / (2 - 2 * LUMA[0]) + 0.5], dim=-3)


def ycbcr_to_rgb(ycbcr: Tensor) -> Tensor:
    """The inverse of `rgb_to_ycbcr`, not clipped."""
    luma, cb, cr = ycbcr.unbind(dim=-3)
    red, blue = luma + (2 - 2 * LUMA[0]) * (cr - 0.5), luma + (2 - 2 * LUMA[2]) * (cb - 0.5)
    return torch.stack([red, (luma - LUMA[0] * red - LUMA[2] * blue) / LUMA[1], blue], dim=-3)


def _luma(rgb: Tensor) -> Tensor:
    red, green, blue = rgb.unbind(dim=-3)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def _split_rgb(lab: Tensor) -> tuple[Tensor, Tensor]:
    rgb = lab_to_rgb(lab)
    return _luma(rgb).unsqueeze(-3), rgb


def _split_hsv(lab: Tensor) -> tuple[Tensor, Tensor]:
    rgb = lab_to_rgb(lab)
    hsv = rgb_to_hsv(rgb)
    # The values are those of the photo's 8-bit colours: else rounding errors would give every gray some hue.
    hsv = rgb_to_hsv(to_uint8(rgb).to(rgb) / 255) + (hsv - hsv.detach())
    return hsv[..., 2:, :, :], hsv[..., :2, :, :]


def _split_ycbcr(lab: Tensor) -> tuple[Tensor, Tensor]:
    ycbcr = rgb_to_ycbcr(lab_to_rgb(lab))
    return ycbcr[..., :1, :, :], ycbcr[..., 1:, :, :]


def _rgb_of_lab(lightness: Tensor, chroma: Tensor) -> Tensor:
    return lab_to_rgb(net_to_lab(lightness, chroma))


def _rgb_of_rgb(lightness: Tensor, chroma: Tensor) -> Tensor:
    return chroma.clamp(0, 1)


def _rgb_of_hsv(lightness: Tensor, chroma: Tensor) -> Tensor:
    return hsv_to_rgb(torch.cat([chroma, lightness], dim=-3)).clamp(0, 1)


def _rgb_of_ycbcr(lightness: Tensor, chroma: Tensor) -> Tensor:
    return ycbcr_to_rgb(torch.cat([lightness, chroma], dim=-3)).clamp(0, 1)


SPACES: dict[str, ColorSpace] = {
    "lab": ColorSpace(2, True, lab_to_net, _rgb_of_lab),
    "rgb": ColorSpace(3, False, _split_rgb, _rgb_of_rgb),
    "hsv": ColorSpace(2, False, _split_hsv, _rgb_of_hsv),
    "ycbcr": ColorSpace(2, False, _split_ycbcr, _rgb_of_ycbcr),
}
"""By the name in ``generator.space``. The lightness is L*, luma, value, luma; the chroma ab, RGB, HS, CbCr."""
