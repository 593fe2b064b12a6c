"""Colorizers that know nothing of the photo: what a model must beat."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tintype.color.lab import lab_to_net
from tintype.data.cache import LabSplit, decode
from tintype.metrics.evaluation import Colorize


def mean_chroma(split: LabSplit, batch_size: int = 256) -> Tensor:
    """The mean color of a split's pixels: (2,), a and b in network units. Reads `batch_size` photos at a time."""
    total = torch.zeros(2, dtype=torch.float64)
    for start in range(0, len(split), batch_size):
        _, chroma = lab_to_net(decode(split.codes[start : start + batch_size]))
        total += chroma.double().mean(dim=(2, 3)).sum(dim=0)
    return (total / len(split)).float()


def constant(chroma: Tensor) -> Colorize:
    """Every pixel gets the same (2,) chroma."""

    def colorize(lightness: Tensor) -> Tensor:
        b, _, h, w = lightness.shape
        return chroma.to(lightness)[None, :, None, None].expand(b, 2, h, w)

    return colorize


BASELINES: dict[str, Callable[[LabSplit], Colorize]] = {
    "gray": lambda train: constant(torch.zeros(2)),
    "mean_ab": lambda train: constant(mean_chroma(train)),
}
"""Name -> the training split -> colorizer."""
