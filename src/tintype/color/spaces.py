"""The color spaces in which networks work: what a generator sees, what it predicts, and the color that both make.

All are derived from Lab on the device, and all conversions are differentiable with finite gradients. What a generator
sees is called lightness in every space (L*, luma, value), what it predicts is called chroma (in `rgb`: all planes).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from tintype.color.lab import AB_MAX, gray_rgb, lab_to_net, lab_to_rgb, net_to_lab, rgb_to_lab, to_uint8

LUMA = (0.299, 0.587, 0.114)
"""Weights of R', G', B' (ITU-R BT.601-7, 2.5.1)."""


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
    """Luma and two color differences: (..., 3, H, W) in [0, 1] -> the same, gray has Cb = Cr = 1/2.

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


class ColorSpace(ABC):
    """A space of the networks, network units: lightness is (B, 1, H, W), chroma (B, planes, H, W).

    Here is what those of sRGB have in common: their lightness is a gray photo as it is.
    """

    planes: ClassVar[int] = 2
    """How many a generator predicts."""
    signed: ClassVar[bool] = False
    """Whether values lie in [-1, 1]; else in [0, 1]."""

    @abstractmethod
    def split(self, lab: Tensor) -> tuple[Tensor, Tensor]:
        """Lab (B, 3, H, W) -> lightness, chroma."""

    @abstractmethod
    def to_rgb(self, lightness: Tensor, chroma: Tensor) -> Tensor:
        """SRGB (B, 3, H, W) in [0, 1]; what sRGB does not have is clipped."""

    def to_lab(self, lightness: Tensor, chroma: Tensor) -> Tensor:
        """Lab (B, 3, H, W); in `lab` what sRGB does not have is kept."""
        return rgb_to_lab(self.to_rgb(lightness, chroma))

    def gray(self, lightness: Tensor) -> Tensor:
        """The gray photo of this lightness: sRGB (B, 3, H, W) in [0, 1]."""
        return lightness.expand(-1, 3, -1, -1)

    def from_net_lab(self, lightness: Tensor, chroma: Tensor) -> tuple[Tensor, Tensor]:
        """Lightness and chroma of Lab, as `lab_to_net` gives them -> those of this space."""
        return self.split(net_to_lab(lightness, chroma))

    def enlarged(self, small: Tensor, chroma: Tensor, lightness: Tensor) -> Tensor:
        """The chroma for a photo of which a generator saw a small version: its ab resized, beside the photo's own L*.

        (B, 1, h, w) and (B, planes, h, w), the photo's (B, 1, H, W) -> (B, planes, H, W). A hue must not be resized,
        between red and red lies every color; and RGB would lose the photo's sharpness.
        """
        ab = F.interpolate(self.to_lab(small, chroma)[:, 1:] / AB_MAX, lightness.shape[-2:], mode="bicubic")
        return self.from_ab(lightness, ab)

    def from_ab(self, lightness: Tensor, ab: Tensor) -> Tensor:
        """The chroma (B, planes, H, W) that a photo of this lightness has with the ab of Lab's network units."""
        L = rgb_to_lab(self.gray(lightness))[:, :1]
        return self.split(torch.cat([L, AB_MAX * ab], dim=1))[1]


class _Lab(ColorSpace):
    """L* -> ab. Photos are kept in it, and their ab are resized in it: nothing is converted that need not be."""

    signed = True

    def split(self, lab: Tensor) -> tuple[Tensor, Tensor]:
        return lab_to_net(lab)

    def to_rgb(self, lightness: Tensor, chroma: Tensor) -> Tensor:
        return lab_to_rgb(net_to_lab(lightness, chroma))

    def to_lab(self, lightness: Tensor, chroma: Tensor) -> Tensor:
        return net_to_lab(lightness, chroma)

    def gray(self, lightness: Tensor) -> Tensor:
        return gray_rgb(50 * (lightness + 1)).expand(-1, 3, -1, -1)

    def from_net_lab(self, lightness: Tensor, chroma: Tensor) -> tuple[Tensor, Tensor]:
        return lightness, chroma

    def enlarged(self, small: Tensor, chroma: Tensor, lightness: Tensor) -> Tensor:
        return F.interpolate(chroma, lightness.shape[-2:], mode="bicubic")

    def from_ab(self, lightness: Tensor, ab: Tensor) -> Tensor:
        return ab


class _RGB(ColorSpace):
    """Luma -> all of RGB."""

    planes = 3

    def split(self, lab: Tensor) -> tuple[Tensor, Tensor]:
        rgb = lab_to_rgb(lab)
        return _luma(rgb).unsqueeze(-3), rgb

    def to_rgb(self, lightness: Tensor, chroma: Tensor) -> Tensor:
        return chroma.clamp(0, 1)


class _HSV(ColorSpace):
    """Value -> HS."""

    def split(self, lab: Tensor) -> tuple[Tensor, Tensor]:
        rgb = lab_to_rgb(lab)
        hsv = rgb_to_hsv(rgb)
        # The values are those of the photo's 8-bit colors: else rounding errors would give every gray some hue.
        hsv = rgb_to_hsv(to_uint8(rgb).to(rgb) / 255) + (hsv - hsv.detach())
        return hsv[..., 2:, :, :], hsv[..., :2, :, :]

    def to_rgb(self, lightness: Tensor, chroma: Tensor) -> Tensor:
        return hsv_to_rgb(torch.cat([chroma, lightness], dim=-3)).clamp(0, 1)


class _YCbCr(ColorSpace):
    """Luma -> CbCr."""

    def split(self, lab: Tensor) -> tuple[Tensor, Tensor]:
        ycbcr = rgb_to_ycbcr(lab_to_rgb(lab))
        return ycbcr[..., :1, :, :], ycbcr[..., 1:, :, :]

    def to_rgb(self, lightness: Tensor, chroma: Tensor) -> Tensor:
        return ycbcr_to_rgb(torch.cat([lightness, chroma], dim=-3)).clamp(0, 1)


SPACES: dict[str, ColorSpace] = {"lab": _Lab(), "rgb": _RGB(), "hsv": _HSV(), "ycbcr": _YCbCr()}
"""By the name in ``generator.space``. The lightness is L*, luma, value, luma; the chroma ab, RGB, HS, CbCr."""
