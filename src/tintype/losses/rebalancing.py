"""Rarity of colors and the resulting pixel weights. Most pixels of most photos are nearly gray.

Source: Zhang, Isola, Efros 2016, "Colorful Image Colorization", arXiv:1603.08511, section 2.2.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tintype.color.bins import BINS, SIGMA, bin_centers, nearest_bin
from tintype.data.cache import LabSplit
from tintype.data.lab_codes import decode


def prior_of(split: LabSplit, batch_size: int = 64) -> Tensor:
    """Return the share (Q,) float32 of a split's pixels nearest to each bin. Reads `batch_size` photos at a time."""
    counts = torch.zeros(BINS, dtype=torch.int64)
    for start in range(0, len(split), batch_size):
        pixels = decode(split.codes[start : start + batch_size])[:, 1:].movedim(1, -1).reshape(-1, 2)
        counts += nearest_bin(pixels).bincount(minlength=BINS)
    return (counts.double() / counts.sum()).float()


def rebalancing(prior: Tensor) -> Tensor:
    """Return the weight of a pixel in the loss by its bin.

    Rarer bins weigh more. The average weight over the smoothed prior is 1.

    Args:
        prior: (Q,), sums to 1.

    Returns:
        (Q,), with the prior's dtype and on its device.

    Source: equation 4 with lambda 1/2. The prior is smoothed by a Gaussian of sigma 5 in ab.
    """
    centers = bin_centers().to(prior)
    kernel = torch.softmax(-torch.cdist(centers, centers).square() / (2 * SIGMA**2), dim=1)
    smooth = prior @ kernel
    weights = 1 / (smooth / 2 + 1 / (2 * BINS))
    return weights / (smooth @ weights)
