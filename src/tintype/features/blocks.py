"""The small network that is made here, without its head."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

WIDEST = 64
"""Channels of the last block: no more, so that the features' covariance has full rank on a small test split."""


def small_blocks(filters: int) -> nn.ModuleList:
    """Four blocks (conv 3x3 stride 2, BatchNorm, ReLU) of `filters`, 2 and 4 times as many, and 64 channels.

    Each is (B, c_in, H, W) -> (B, c_out, H/2, W/2), halves rounded up: one pixel stays one.
    """
    widths = (3, filters, 2 * filters, 4 * filters, WIDEST)
    return nn.ModuleList(
        nn.Sequential(nn.Conv2d(c_in, c_out, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU())
        for c_in, c_out in pairwise(widths)
    )


def activations(blocks: nn.ModuleList, rgb: Tensor) -> list[Tensor]:
    """Photos (B, 3, H, W) in [0, 1] -> what each block puts out."""
    x = 2 * rgb - 1
    return [x := block(x) for block in blocks]
