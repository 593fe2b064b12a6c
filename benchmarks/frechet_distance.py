"""FID by the eigenvalues of a symmetric matrix, against torchmetrics', which takes those of a general one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics.image.fid import FrechetInceptionDistance

from benchmarks.caching import one_core, side_by_side
from tintype.metrics.distributions import Embedded, FrechetDistance

FEATURES = 1_280
"""Of EfficientNet-Lite2."""
PHOTOS = (12, 400, 2_000)


def run() -> dict[str, Any]:
    """Both from embeddings to the value, on one core, with fewer photos than features and with more."""
    metrics: dict[str, Any] = {"ratios": {}, "differences": {}}
    with one_core():
        for count in PHOTOS:
            true = _embeddings(count, seed=0)
            predicted = true + _embeddings(count, seed=1) / 4
            ways = {"torchmetrics": _by_torchmetrics, "tintype": _by_tintype}
            fid = {name: way(predicted, true) for name, way in ways.items()}
            found = side_by_side({name: _timed(way, predicted, true) for name, way in ways.items()})
            name = f"{count} photos"
            metrics["ratios"][name] = found["ratios"]["tintype"]
            metrics["differences"][name] = float(f"{abs(fid['tintype'] / fid['torchmetrics'] - 1):.1e}")
    return {"name": "frechet_distance", "features": FEATURES, **metrics}


def _embeddings(count: int, seed: int) -> Tensor:
    """Features of very different variances, as a network's are."""
    generator = torch.Generator().manual_seed(seed)
    scale = torch.rand(FEATURES, dtype=torch.float64, generator=generator) ** 3
    return torch.randn(count, FEATURES, dtype=torch.float64, generator=generator) * scale


def _by_torchmetrics(predicted: Tensor, true: Tensor) -> float:
    fid = FrechetInceptionDistance(Embedded(FEATURES))
    fid.update(true, real=True)
    fid.update(predicted, real=False)
    return float(fid.compute())


def _by_tintype(predicted: Tensor, true: Tensor) -> float:
    fid = FrechetDistance(true, torch.device("cpu"))
    fid.update(predicted)
    return fid.compute()


def _timed(way: Callable[[Tensor, Tensor], float], predicted: Tensor, true: Tensor) -> Callable[[], int]:
    def once() -> int:
        way(predicted, true)
        return 1

    return once
