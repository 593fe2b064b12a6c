"""Pixelwise metrics for any three planes. Each is per photo: (B, 3, H, W) -> (B,)."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

PSNR_CAP = 100.0
"""Upper limit of PSNR, dB.

Equal photos have an infinite PSNR, which would make any mean infinite. An error of one 8-bit step in one value of a
256x256 photo gives 101.
"""


def squared_error(predicted: Tensor, truth: Tensor) -> Tensor:
    """Return the squared error, averaged over the photo. Values are in [0, 1]."""
    return (predicted - truth).square().flatten(1).mean(dim=1)


def absolute_error(predicted: Tensor, truth: Tensor) -> Tensor:
    """Return the absolute error, averaged over the photo. Values are in [0, 1]."""
    return (predicted - truth).abs().flatten(1).mean(dim=1)


def custom_accuracy(predicted: Tensor, truth: Tensor) -> Tensor:
    """Return system B's accuracy: the share of pixels whose difference d has max|d| < 0.14 and ||d||_2 < 0.17.

    Values are in [0, 1].
    """
    difference = predicted - truth
    near = (difference.abs().amax(dim=1) < 0.14) & (difference.square().sum(dim=1).sqrt() < 0.17)
    return near.float().flatten(1).mean(dim=1)


def psnr(squared_error: Tensor) -> Tensor:
    """Return 10 log10(1 / MSE) in dB of any mean squared errors of values in [0, 1], at most `PSNR_CAP`."""
    return (-10 * torch.log10(squared_error)).clamp(max=PSNR_CAP)


def ssim(predicted: Tensor, truth: Tensor) -> Tensor:
    """Return the structural similarity with a Gaussian window, sigma 1.5, 11x11, on photos reflected at their border.

    torchmetrics reflects the photos. scikit-image averages without a border of 5 pixels instead.

    Source: Wang, Bovik, Sheikh, Simoncelli 2004, doi:10.1109/TIP.2003.819861.
    """
    return ssim_map(predicted, truth).flatten(1).mean(dim=1)


def ssim_map(predicted: Tensor, truth: Tensor) -> Tensor:
    """Return the similarity at each pixel, (B, 3, H, W), whose mean is `ssim`. Sides must have at least 6 pixels."""
    _, similarity = structural_similarity_index_measure(
        predicted, truth, sigma=1.5, data_range=1.0, reduction="none", return_full_image=True
    )
    return similarity
