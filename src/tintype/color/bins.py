"""Bins of the ab plane for color classification: encoding and decoding.

Source: Zhang, Isola, Efros 2016, "Colorful Image Colorization", arXiv:1603.08511, section 2.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from tintype.color.lab import rgb_to_lab

GRID = 10.0
"""Distance between neighboring bins, in Lab units."""
BINS = 309
"""Q, the number of bins.

The paper's authors ship a file of 313 bins without a recipe. The recipe in `bin_centers` gives these 309.
"""
NEIGHBORS = 5
SIGMA = 5.0
"""Standard deviation of the Gaussian in `soft_encode`, in Lab units."""
TEMPERATURE = 0.38

REACH = 12
"""Cells of the tables on each side of 0: up to |a|, |b| = 120, which exceeds the sRGB gamut."""
CANDIDATES = 12
"""Bins nearest to a cell's center. They include the five bins nearest to any point of the cell."""


@cache
@torch.inference_mode(False)  # the cached tensors outlive the caller's inference mode
def bin_centers() -> Tensor:
    """Return the bin centers: the corners of all grid cells that the sRGB gamut touches.

    Every color in the gamut therefore has all four corners of its cell among the bins.

    Returns:
        (Q, 2) float32 on the CPU, a and b in Lab units. The tensor is cached: do not write to it.
    """
    # The faces of the RGB cube touch the same 268 cells as all its 16,777,216 colors do.
    value = torch.arange(256) / 255
    first, second = torch.meshgrid(value, value, indexing="ij")
    touched = torch.zeros(2 * REACH, 2 * REACH, dtype=torch.bool)
    for end in (0.0, 1.0):
        third = torch.full_like(first, end)
        for face in ((third, first, second), (first, third, second), (first, second, third)):
            touched.view(-1)[_cell(rgb_to_lab(torch.stack(face))[1:].flatten(1).T)] = True
    corners = torch.zeros(2 * REACH + 1, 2 * REACH + 1, dtype=torch.bool)
    for a in (slice(None, -1), slice(1, None)):
        for b in (slice(None, -1), slice(1, None)):
            corners[a, b] |= touched
    return GRID * (corners.nonzero() - REACH).float()


def soft_encode(ab: Tensor) -> Tensor:
    """Encode each pixel's color as a distribution over its five nearest bins, weighted by a Gaussian of the distance.

    Args:
        ab: (B, 2, h, w), Lab units.

    Returns:
        (B, Q, h, w) float32 without gradient. It sums to 1 over the bins. The memory format is channels-last.
    """
    with torch.no_grad():
        tables = _tables(ab.device)
        pixels = ab.float().permute(0, 2, 3, 1).reshape(-1, 2)
        candidates = tables.candidates[_cell(pixels)]
        squared = (tables.centers[candidates] - pixels[:, None]).square().sum(dim=2)
        nearest, which = squared.topk(NEIGHBORS, largest=False)
        shares = torch.softmax(-nearest / (2 * SIGMA**2), dim=1)
        encoded = shares.new_zeros(len(pixels), BINS).scatter_(1, candidates.gather(1, which), shares)
        batch, _, height, width = ab.shape
        return encoded.view(batch, height, width, BINS).permute(0, 3, 1, 2)


def annealed_mean(logits: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Decode bin logits to one color per pixel: sharpen the distribution, then take its mean. Differentiable.

    Args:
        logits: (B, Q, h, w), any floating dtype.
        temperature: 1 gives the mean, which is dull. Values towards 0 give the mode, which is blotchy.

    Returns:
        (B, 2, h, w) float32, ab in Lab units.

    Source: equation 5.
    """
    with torch.autocast(logits.device.type, enabled=False):  # bfloat16 would round ab by up to 1/4
        shares = torch.softmax(logits.float() / temperature, dim=1)
        return (_centers(logits.device).T @ shares.flatten(2)).unflatten(2, logits.shape[2:])


def nearest_bin(ab: Tensor) -> Tensor:
    """Return the index (N,) of the bin nearest to each ab color (N, 2), in Lab units, of the sRGB gamut."""
    return _tables(ab.device).nearest[_cell(ab + GRID / 2)]


class _Tables(NamedTuple):
    """Lookup tables on one device. The first axis of `candidates` and `nearest` is the cell index from `_cell`."""

    centers: Tensor
    """(Q, 2) float32."""
    candidates: Tensor
    """(cells, 12): the bins nearest to the cell's center."""
    nearest: Tensor
    """(cells,): the bin nearest to the cell's corner with the smallest a and b."""


@cache
@torch.inference_mode(False)
def _tables(device: torch.device) -> _Tables:
    centers, side = bin_centers(), torch.arange(-REACH, REACH)
    corners = GRID * torch.cartesian_prod(side, side).float()
    candidates = torch.cdist(corners + GRID / 2, centers).topk(CANDIDATES, largest=False).indices
    nearest = torch.cdist(corners, centers).argmin(dim=1)
    return _Tables(centers.to(device), candidates.to(device), nearest.to(device))


@torch.compiler.assume_constant_result  # torch.compile cannot trace through caches
def _centers(device: torch.device) -> Tensor:
    return _tables(device).centers


def _cell(ab: Tensor) -> Tensor:
    """Return the cell index (N,) of colors (N, 2) in Lab units. Colors beyond the tables fall into an edge cell."""
    row, column = (ab / GRID).floor().long().add(REACH).clamp(0, 2 * REACH - 1).unbind(dim=1)
    return 2 * REACH * row + column
