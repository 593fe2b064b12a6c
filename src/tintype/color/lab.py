"""Conversions between sRGB and CIE L*a*b*, and the network units of Lab.

Tensor conversions are differentiable with finite gradients and run on any device, in float32 or float64. They use sums
and products of planes instead of matrix products, so neither TF32 nor autocast lowers their precision.

Lab is CIE 1976 for sRGB (IEC 61966-2-1) under D65, 2° observer, with the constants of scikit-image's `skimage.color`.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from tintype.color.constants import RGB_FROM_XYZ, WHITE, XYZ_FROM_RGB

AB_MAX = 110.0
"""Scale of chroma in the networks. The sRGB gamut reaches |a|, |b| <= 107.9."""


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """Convert sRGB to Lab.

    Args:
        rgb: (..., 3, H, W), in [0, 1].

    Returns:
        (..., 3, H, W), L in [0, 100], a and b within ±108.
    """
    check_planes(rgb, "rgb")
    linear = torch.where(rgb > 0.04045, ((rgb.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    x, y, z = (plane / white for plane, white in zip(_mix(linear, XYZ_FROM_RGB), WHITE, strict=True))
    t = torch.stack([x, y, z], dim=-3)
    # The clamps keep the branch that is not taken finite, and its gradient too.
    f = torch.where(t > 0.008856, t.clamp(min=0.008856) ** (1 / 3), 7.787 * t + 16 / 116)
    fx, fy, fz = f.unbind(dim=-3)
    return torch.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], dim=-3)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Convert Lab to sRGB. Colors outside the sRGB gamut are clipped.

    Args:
        lab: (..., 3, H, W), L in [0, 100].

    Returns:
        (..., 3, H, W), in [0, 1].
    """
    check_planes(lab, "lab")
    L, a, b = lab.unbind(dim=-3)
    fy = (L + 16) / 116
    f = torch.stack([fy + a / 500, fy, (fy - b / 200).clamp(min=0)], dim=-3)
    t = _cubed(f)
    xyz = torch.stack([plane * white for plane, white in zip(t.unbind(dim=-3), WHITE, strict=True)], dim=-3)
    return _coded(torch.stack(_mix(xyz, RGB_FROM_XYZ), dim=-3)).clamp(0, 1)


def gray_rgb(L: Tensor) -> Tensor:
    """Return the sRGB level of the gray with lightness L.

    Equal to `lab_to_rgb` at a = b = 0, at a third of its cost.

    Args:
        L: any shape, in [0, 100].

    Returns:
        The same shape, in [0, 1].
    """
    return _coded(_cubed((L + 16) / 116)).clamp(0, 1)


def rgb8_to_lab(rgb: np.ndarray) -> Tensor:
    """Convert an 8-bit photo to Lab on the CPU, several times as fast as `rgb_to_lab`: no powers, few passes.

    Args:
        rgb: (H, W, 3) uint8, sRGB.

    Returns:
        (3, H, W) float32, within 1e-4 of the float64 result.
    """
    import cv2

    linear = cv2.LUT(rgb, _linear_of_uint8()).reshape(-1, 3)
    xyz_over_white = torch.tensor(XYZ_FROM_RGB) / torch.tensor(WHITE)[:, None]
    t = (xyz_over_white @ torch.from_numpy(linear).T).numpy()
    f = np.cbrt(t)  # seven times as fast as a power in torch
    if (dark := t <= 0.008856).any():
        f[dark] = np.float32(7.787) * t[dark] + np.float32(16 / 116)
    lab_from_f = torch.tensor([[0.0, 116.0, 0.0], [500.0, -500.0, 0.0], [0.0, 200.0, -200.0]])
    lab = torch.addmm(torch.tensor([[-16.0], [0.0], [0.0]]), lab_from_f, torch.from_numpy(f))
    return lab.view(3, *rgb.shape[:2])


def lab_to_net(lab: Tensor) -> tuple[Tensor, Tensor]:
    """Split Lab into the lightness that a generator sees and the chroma that it predicts.

    Args:
        lab: (B, 3, H, W), L in [0, 100], a and b within ±110.

    Returns:
        lightness: (B, 1, H, W), L/50 - 1, in [-1, 1].
        chroma: (B, 2, H, W), ab/110, in [-1, 1].

    Source: constants of pytorch-CycleGAN-and-pix2pix, data/colorization_dataset.py.
    """
    return lab[..., :1, :, :] / 50 - 1, lab[..., 1:, :, :] / AB_MAX


def net_to_lab(lightness: Tensor, chroma: Tensor) -> Tensor:
    """Invert `lab_to_net`: (B, 1, H, W), (B, 2, H, W) -> (B, 3, H, W)."""
    return torch.cat([(lightness + 1) * 50, chroma * AB_MAX], dim=-3)


def to_uint8(rgb: Tensor) -> Tensor:
    """Convert [0, 1] to uint8 0..255 by rounding. Values outside are clipped."""
    return (rgb.clamp(0, 1) * 255).round().to(torch.uint8)


def _cubed(f: Tensor) -> Tensor:
    """Convert Lab's cube roots to X, Y or Z in units of the white point."""
    return torch.where(f > 0.2068966, f**3, (f - 16 / 116) / 7.787)


def _coded(linear: Tensor) -> Tensor:
    """Convert linear light to sRGB."""
    return torch.where(linear > 0.0031308, 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055, 12.92 * linear)


def _mix(planes: Tensor, matrix: tuple[tuple[float, ...], ...]) -> list[Tensor]:
    x, y, z = planes.unbind(dim=-3)
    return [m[0] * x + m[1] * y + m[2] * z for m in matrix]


@cache
def _linear_of_uint8() -> np.ndarray:
    v = np.arange(256) / 255
    return np.where(v > 0.04045, ((v + 0.055) / 1.055) ** 2.4, v / 12.92).astype(np.float32)


def check_planes(planes: Tensor, name: str) -> None:
    """Raise `ValueError` unless `planes` is floating point with three planes."""
    if planes.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{name} is {planes.dtype}; allowed: torch.float32, torch.float64 (8-bit sRGB: divide by 255)")
    if planes.ndim < 3 or planes.shape[-3] != 3:
        raise ValueError(f"{name} has the shape {tuple(planes.shape)}; allowed: (..., 3, H, W)")
