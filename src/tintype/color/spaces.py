"""The color spaces of the networks: what a generator sees, what it predicts, and the color that the two make.

All spaces are derived from Lab on the device, and all conversions are differentiable with finite gradients. In every
space, what a generator sees is called lightness (L*, luma or value), and what it predicts is called chroma (in `rgb`,
all three planes).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from tintype.color.lab import AB_MAX, gray_rgb, lab_to_net, lab_to_rgb, net_to_lab, rgb_to_lab, to_uint8

LUMA = (0.299, 0.587, 0.114)
"""Weights of R', G' and B' (ITU-R BT.601-7, 2.5.1)."""


def rgb_to_hsv(rgb: Tensor) -> Tensor:
    """Convert sRGB to hue, saturation and value: (..., 3, H, W) in [0, 1] -> the same shape and range.

    Red has hue 0 and green 1/3. Gray gets hue 0.

    Source: Smith 1978, "Color gamut transform pairs", doi:10.1145/800248.807361.
    """
    red, green, blue = rgb.unbind(dim=-3)
    value, low = rgb.amax(dim=-3), rgb.amin(dim=-3)
    delta = value - low
    safe = torch.where(delta > 0, delta, torch.ones_like(delta))  # keeps the unused branch and its gradient finite
    sector = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    hue = torch.where(delta > 0, (sector / 6) % 1, torch.zeros_like(delta))
    saturation = delta / torch.where(value > 0, value, torch.ones_like(value))
    return torch.stack([hue, saturation, value], dim=-3)


def hsv_to_rgb(hsv: Tensor) -> Tensor:
    """Invert `rgb_to_hsv`. Hue is taken modulo 1."""
    hue, saturation, value = hsv.unbind(dim=-3)

    def channel(shift: float) -> Tensor:
        sector = (shift + 6 * hue) % 6
        return value * (1 - saturation * torch.minimum(sector, 4 - sector).clamp(0, 1))

    return torch.stack([channel(5.0), channel(3.0), channel(1.0)], dim=-3)


def rgb_to_ycbcr(rgb: Tensor) -> Tensor:
    """Convert sRGB to luma and two color differences: (..., 3, H, W) in [0, 1] -> the same shape and range.

    Full range, as in JPEG. Gray has Cb = Cr = 1/2. Source: ITU-T T.871, clause 7.
    """
    luma = _luma(rgb)
    red, _, blue = rgb.unbind(dim=-3)
    return torch.stack([luma, (blue - luma) / (2 - 2 * LUMA[2]) + 0.5, (red - luma) / (2 - 2 * LUMA[0]) + 0.5], dim=-3)


def ycbcr_to_rgb(ycbcr: Tensor) -> Tensor:
    """Invert `rgb_to_ycbcr`. The result is not clipped."""
    luma, cb, cr = ycbcr.unbind(dim=-3)
    red, blue = luma + (2 - 2 * LUMA[0]) * (cr - 0.5), luma + (2 - 2 * LUMA[2]) * (cb - 0.5)
    return torch.stack([red, (luma - LUMA[0] * red - LUMA[2] * blue) / LUMA[1], blue], dim=-3)


def _luma(rgb: Tensor) -> Tensor:
    red, green, blue = rgb.unbind(dim=-3)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


class ColorSpace(ABC):
    """A color space of the networks, in network units: lightness (B, 1, H, W), chroma (B, planes, H, W).

    The base class implements what the spaces derived from sRGB share: their lightness is itself the gray photo.
    """

    planes: ClassVar[int] = 2
    """Number of planes that a generator predicts."""
    signed: ClassVar[bool] = False
    """Whether values lie in [-1, 1]. Otherwise they lie in [0, 1]."""

    @abstractmethod
    def split(self, lab: Tensor) -> tuple[Tensor, Tensor]:
        """Split Lab (B, 3, H, W) into lightness and chroma."""

    @abstractmethod
    def to_rgb(self, lightness: Tensor, chroma: Tensor) -> Tensor:
        """Convert to sRGB (B, 3, H, W) in [0, 1]. Colors outside the sRGB gamut are clipped."""

    def to_lab(self, lightness: Tensor, chroma: Tensor) -> Tensor:
        """Convert to Lab (B, 3, H, W). In `lab`, colors outside the sRGB gamut are kept."""
        return rgb_to_lab(self.to_rgb(lightness, chroma))

    def gray(self, lightness: Tensor) -> Tensor:
        """Return the gray photo with this lightness: sRGB (B, 3, H, W) in [0, 1]."""
        return lightness.expand(-1, 3, -1, -1)

    def from_net_lab(self, lightness: Tensor, chroma: Tensor) -> tuple[Tensor, Tensor]:
        """Convert lightness and chroma as returned by `lab_to_net` to those of this space."""
        return self.split(net_to_lab(lightness, chroma))

    def enlarged(self, small: Tensor, chroma: Tensor, lightness: Tensor) -> Tensor:
        """Return the chroma at a photo's full size, from the prediction for a smaller version of it.

        The predicted ab is resized and combined with the photo's own L*. Hue must not be resized: it is circular, so
        resizing between red and red would pass through every color. Resizing RGB would lose the photo's sharpness.

        Args:
            small: (B, 1, h, w), the lightness that the generator saw.
            chroma: (B, planes, h, w), the generator's prediction for it.
            lightness: (B, 1, H, W), the photo's own.

        Returns:
            (B, planes, H, W).
        """
        ab = F.interpolate(self.to_lab(small, chroma)[:, 1:] / AB_MAX, lightness.shape[-2:], mode="bicubic")
        return self.from_ab(lightness, ab)

    def from_ab(self, lightness: Tensor, ab: Tensor) -> Tensor:
        """Return the chroma (B, planes, H, W) for this lightness and this ab, given in Lab's network units."""
        L = rgb_to_lab(self.gray(lightness))[:, :1]
        return self.split(torch.cat([L, AB_MAX * ab], dim=1))[1]


class _Lab(ColorSpace):
    """L* -> ab. Photos are stored in Lab and their ab is resized in Lab, so most methods need no conversion."""

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
        # Use the values of the photo's 8-bit colors. Otherwise, rounding errors would give every gray a hue.
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
"""Color spaces by their name in ``generator.space``.

Their lightness is L*, luma, value and luma. Their chroma is ab, RGB, HS and CbCr.
"""
