"""Perceptual color difference."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tintype.color.lab import check_planes


def delta_e_ciede2000(lab1: Tensor, lab2: Tensor) -> Tensor:
    """Return the CIEDE2000 color difference with kL = kC = kH = 1. A difference of about 1 is just noticeable.

    Do not use it as a loss: its gradient at 0 is NaN.

    Args:
        lab1: (..., 3, H, W).
        lab2: the same shape.

    Returns:
        (..., H, W), >= 0, symmetric in its arguments.

    Source: Sharma, Wu, Dalal, "The CIEDE2000 color-difference formula: implementation notes, supplementary test data,
        and mathematical observations", Color Res. Appl. 30 (2005) 21-30, eqs. 2-22. The code keeps its symbols.
    """
    check_planes(lab1, "lab1")
    check_planes(lab2, "lab2")
    L1, a1, b1 = lab1.unbind(dim=-3)
    L2, a2, b2 = lab2.unbind(dim=-3)

    C_mean = (torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2
    G = (1 - _saturation(C_mean)) / 2
    C1, h1 = _polar((1 + G) * a1, b1)
    C2, h2 = _polar((1 + G) * a2, b2)
    gray = C1 * C2 == 0  # one color has no hue: the hue difference is 0 and the mean hue is the other color's

    dh = h2 - h1
    far = dh.abs() > math.pi  # the shorter arc passes through 0°
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
    """Return the formula's measure of chroma strength, in [0, 1). It is 1/2 at a chroma of about 21."""
    return (C**7 / (C**7 + 25.0**7)).sqrt()


def _polar(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return chroma, and hue in radians in [0, 2 pi). The hue of gray is 0."""
    h = torch.atan2(b, a)
    return torch.hypot(a, b), torch.where(h < 0, h + 2 * math.pi, h)
