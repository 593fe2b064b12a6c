"""Trivial baselines that ignore the photo. A model must beat them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tintype.color.lab import lab_to_net
from tintype.data.cache import LabSplit
from tintype.data.lab_codes import decode
from tintype.metrics.predictor import Predictor
from tintype.models.prediction import Prediction


def mean_chroma(split: LabSplit, batch_size: int = 256) -> Tensor:
    """Return the mean color (2,) of a split's pixels, a and b in network units. Reads `batch_size` photos at a time."""
    total = torch.zeros(2, dtype=torch.float64)
    for start in range(0, len(split), batch_size):
        _, chroma = lab_to_net(decode(split.codes[start : start + batch_size]))
        total += chroma.double().mean(dim=(2, 3)).sum(dim=0)
    return (total / len(split)).float()


def constant(chroma: Tensor) -> Predictor:
    """Return a predictor that gives every pixel the same (2,) chroma."""

    def predict(lightness: Tensor) -> Prediction:
        b, _, h, w = lightness.shape
        return Prediction(chroma.to(lightness)[None, :, None, None].expand(b, 2, h, w))

    return Predictor(predict)


BASELINES: dict[str, Callable[[LabSplit], Predictor]] = {
    "gray": lambda train: constant(torch.zeros(2)),
    "mean_ab": lambda train: constant(mean_chroma(train)),
}
"""Name -> a function from the training split to the predictor."""
