"""CIE L*a*b* and back, network units, colour difference.

Conversions of tensors are differentiable, with finite gradients, and run on any device, in float32 or float64. They are
sums and products of planes, not matrix products, so that neither TF32 nor autocast lowers their precision.

Lab is CIE 1976 of sRGB (IEC 61966-2-1) under D65, 2° observer, with the constants of scikit-image's `skimage.color`.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor

XYZ_FROM_RGB = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
RGB_FROM_XYZ = tuple(tuple(row) for row in np.linalg.inv(XYZ_FROM_RGB).tolist())
WHITE = (0.95047, 1.0, 1.08883)

AB_MAX = 110.0
"""Chroma's unit in the networks: sRGB reaches |a|, |b| <= 107.9."""


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """SRGB -> Lab.

    Args:
        rgb: (..., 3, H, W), in [0, 1].

    Returns:
        (..., 3, H, W), L in [0, 100], a and b within ±108.
    """
    _check(rgb, "rgb")
    linear = torch.where(rgb > 0.04045, ((rgb.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    x, y, z = (plane / white for plane, white in zip(_mix(linear, XYZ_FROM_RGB), WHITE, strict=True))
    t = torch.stack([x, y, z], dim=-3)
    # The clamps keep the branch that is not taken, and its gradient, finite.
    f = torch.where(t > 0.008856, t.clamp(min=0.008856) ** (1 / 3), 7.787 * t + 16 / 116)
    fx, fy, fz = f.unbind(dim=-3)
    return torch.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], dim=-3)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Lab -> sRGB; colours that sRGB does not have are clipped.

    Args:
        lab: (..., 3, H, W), L in [0, 100].

    Returns:
        (..., 3, H, W), in [0, 1].
    """
    _check(lab, "lab")
    L, a, b = lab.unbind(dim=-3)
    fy = (L + 16) / 116
    f = torch.stack([fy + a / 500, fy, (fy - b / 200).clamp(min=0)], dim=-3)
    t = torch.where(f > 0.2068966, f**3, (f - 16 / 116) / 7.787)
    xyz = torch.stack([plane * white for plane, white in zip(t.unbind(dim=-3), WHITE, strict=True)], dim=-3)
    linear = torch.stack(_mix(xyz, RGB_FROM_XYZ), dim=-3)
    rgb = torch.where(linear > 0.0031308, 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055, 12.92 * linear)
    return rgb.clamp(0, 1)


def rgb8_to_lab(rgb: np.ndarray) -> Tensor:
    """`rgb_to_lab` of an 8-bit photo on the CPU, several times as fast: no powers, few passes.

    Args:
        rgb: (H, W, 3) uint8, sRGB.

    Returns:
        (3, H, W) float32, within 1e-4 of float64's.
    """
    import cv2

    linear = cv2.LUT(rgb, _linear_of_uint8()).reshape(-1, 3)
    xyz_over_white = torch.tensor(XYZ_FROM_RGB) / torch.tensor(WHITE)[:, None]
    t = (xyz_over_white @ torch.from_numpy(linear).T).numpy()
    f = np.cbrt(t)  # NumPy's is seven times as fast as a power in torch
    if (dark := t <= 0.008856).any():
        f[dark] = np.float32(7.787) * t[dark] + np.float32(16 / 116)
    lab_from_f = torch.tensor([[0.0, 116.0, 0.0], [500.0, -500.0, 0.0], [0.0, 200.0, -200.0]])
    lab = torch.addmm(torch.tensor([[-16.0], [0.0], [0.0]]), lab_from_f, torch.from_numpy(f))
    return lab.view(3, *rgb.shape[:2])


def lab_to_net(lab: Tensor) -> tuple[Tensor, Tensor]:
    """Split Lab into what a generator sees and what it predicts.

    Args:
        lab: (B, 3, H, W), L in [0, 100], a and b within ±110.

    Returns:
        lightness: (B, 1, H, W), L/50 - 1, in [-1, 1].
        chroma: (B, 2, H, W), ab/110, in [-1, 1].

    Source: constants of pytorch-CycleGAN-and-pix2pix, data/colorization_dataset.py.
    """
    return lab[..., :1, :, :] / 50 - 1, lab[..., 1:, :, :] / AB_MAX


def net_to_lab(lightness: Tensor, chroma: Tensor) -> Tensor:
    """The inverse of `lab_to_net`: (B, 1, H, W), (B, 2, H, W) -> (B, 3, H, W)."""
    return torch.cat([(lightness + 1) * 50, chroma * AB_MAX], dim=-3)


def to_uint8(rgb: Tensor) -> Tensor:
    """[0, 1] -> 0..255 uint8, rounded; values outside are clipped."""
    return (rgb.clamp(0, 1) * 255).round().to(torch.uint8)


def delta_e_ciede2000(lab1: Tensor, lab2: Tensor) -> Tensor:
    """Colour difference CIEDE2000, kL = kC = kH = 1; about 1 is just noticeable. Not a loss: its gradient at 0 is NaN.

    Args:
        lab1: (..., 3, H, W).
        lab2: the same.

    Returns:
        (..., H, W), >= 0, symmetric.

    Source: Sharma, Wu, Dalal, "The CIEDE2000 color-difference formula: implementation notes, supplementary test data,
        and mathematical observations", Color Res. Appl. 30 (2005) 21-30, eqs. 2-22; its symbols are kept.
    """
    _check(lab1, "lab1")
    _check(lab2, "lab2")
    L1, a1, b1 = lab1.unbind(dim=-3)
    L2, a2, b2 = lab2.unbind(dim=-3)

    C_mean = (torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2
    G = (1 - _saturation(C_mean)) / 2
    C1, h1 = _polar((1 + G) * a1, b1)
    C2, h2 = _polar((1 + G) * a2, b2)
    gray = C1 * C2 == 0  # no hue on one side: no hue difference, and the mean hue is the other's

    dh = h2 - h1
    far = dh.abs() > math.pi  # the shorter way round passes 0°
    dh = torch.where(far, dh - 2 * math.pi * dh.sign(), dh).masked_fill(gray, 0)
    dL, dC, dH = L2 - L1, C2 - C1, 2 * (C1 * C2).sqrt() * (dh / 2).sin()

    L_mean, C_mean, h_sum = (L1 + L2) / 2, (C1 + C2) / 2, h1 + h2
    opposite = torch.where(h_sum < 2 * math.pi, h_sum + 2 * math.pi, h_sum - 2 * math.pi)
    h_mean = torch.where(gray, h_sum, torch.where(far, opposite, h_sum) / 2)

    T = (
        1
        - 0.17 * (h_mean - math.radians(30)).cos()
        + 0.24 * (2 * h_mean).cos()
        + 0.32 * (3 * h_mean + math.radians(6)).cos()
        - 0.20 * (4 * h_mean - math.radians(63)).cos()
    )
    S_L = 1 + 0.015 * (L_mean - 50) ** 2 / (20 + (L_mean - 50) ** 2).sqrt()
    S_C = 1 + 0.045 * C_mean
    S_H = 1 + 0.015 * C_mean * T
    dtheta = math.radians(30) * (-(((h_mean.rad2deg() - 275) / 25) ** 2)).exp()
    R_T = -(2 * dtheta).sin() * 2 * _saturation(C_mean)

    L, C, H = dL / S_L, dC / S_C, dH / S_H
    return (L**2 + C**2 + H**2 + R_T * C * H).clamp(min=0).sqrt()


def _saturation(C: Tensor) -> Tensor:
    """The formula's measure of how strong a chroma is, in [0, 1): half at about 21."""
    return (C**7 / (C**7 + 25.0**7)).sqrt()


def _polar(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Chroma, and hue in radians, in [0, 2 pi); the hue of gray is 0."""
    h = torch.atan2(b, a)
    return torch.hypot(a, b), torch.where(h < 0, h + 2 * math.pi, h)


def _mix(planes: Tensor, matrix: tuple[tuple[float, ...], ...]) -> list[Tensor]:
    x, y, z = planes.unbind(dim=-3)
    return [m[0] * x + m[1] * y + m[2] * z for m in matrix]


@cache
def _linear_of_uint8() -> np.ndarray:
    v = np.arange(256) / 255
    return np.where(v > 0.04045, ((v + 0.055) / 1.055) ** 2.4, v / 12.92).astype(np.float32)


def _check(planes: Tensor, name: str) -> None:
    if planes.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{name} is {planes.dtype}; allowed: torch.float32, torch.float64 (8-bit sRGB: divide by 255)")
    if planes.ndim < 3 or planes.shape[-3] != 3:
        raise ValueError(f"{name} has the shape {tuple(planes.shape)}; allowed: (..., 3, H, W)")
