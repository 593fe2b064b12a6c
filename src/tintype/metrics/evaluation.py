"""A colorizer measured on a split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor
from tqdm import tqdm

from tintype.color.colorfulness import colorfulness
from tintype.color.spaces import SPACES, ColorSpace
from tintype.config import Evaluate
from tintype.data.cache import LabSplit, decode
from tintype.features.network import FeatureNetwork
from tintype.features.reference import TORCHVISION, embed_truth, lab_planes, shown
from tintype.metrics.color import ciede2000
from tintype.metrics.distributions import FeatureDistances, FrechetDistance
from tintype.metrics.grid import best_median_worst, write_grid
from tintype.metrics.pixels import absolute_error, custom_accuracy, psnr, squared_error, ssim
from tintype.metrics.registry import CLASS_ACCURACY, FID_TORCHVISION, LAB_PLANES, metric_names

if TYPE_CHECKING:
    from tintype.features.torchvision_inception import TorchvisionInception

Colorize: TypeAlias = Callable[[Tensor], Tensor]
"""Lightness (B, 1, H, W) -> chroma (B, planes, H, W), network units of a space of `tintype.color.SPACES`."""


Classify: TypeAlias = Callable[[Tensor], Tensor]
"""Lightness (B, 1, H, W) -> class logits (B, classes)."""


class _Planes:
    """The running results of three planes in [0, 1]: a few numbers a photo, and what FID and KID keep."""

    def __init__(self, features: FeatureNetwork, truth: Tensor, photos: int, device: torch.device) -> None:
        self._features = features
        self._distances = FeatureDistances(truth, photos, device)
        self._squared_error: list[Tensor] = []
        self._absolute_error: list[Tensor] = []
        self._ssim: list[Tensor] = []
        self._distance: list[Tensor] = []

    def update(self, predicted: Tensor, truth: Tensor) -> None:
        """(B, 3, H, W) twice."""
        self._squared_error.append(squared_error(predicted, truth))
        self._absolute_error.append(absolute_error(predicted, truth))
        self._ssim.append(ssim(predicted, truth))
        self._distance.append(self._features.distance(predicted, truth))
        self._distances.update(self._features.embed(predicted))

    def compute(self) -> dict[str, float]:
        errors = torch.cat(self._squared_error).double()
        by_network = {self._features.distance_name: _mean(self._distance)} | self._distances.compute()
        return {
            "psnr": float(psnr(errors).mean()),
            "psnr_pooled": float(psnr(errors.mean())),
            "ssim": _mean(self._ssim),
            "rmse": float(errors.mean().sqrt()),
            "mae": _mean(self._absolute_error),
            **{name + self._features.suffix: value for name, value in by_network.items()},
        }


# TF32, which cuDNN takes where it may, has 10 bits: too few for SSIM's differences of squares.
@torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
@torch.no_grad()
def evaluate(
    colorize: Colorize,
    split: LabSplit,
    features: FeatureNetwork,
    config: Evaluate,
    device: torch.device | str,
    grid: Path | None = None,
    space: str = "lab",
    torchvision: TorchvisionInception | None = None,
    classify: Classify | None = None,
    truth: Mapping[str, Tensor] | None = None,
) -> dict[str, float]:
    """Every metric of `colorize` on `split`, by full name, in the order of `tintype.metrics.metric_names`.

    A prediction is the photo's lightness in `space` with the predicted chroma, as 8-bit sRGB; in `rgb` it is the
    generator's alone, and the value of `hsv` is that of the color photo. In `lab` it is what a user gets.

    RGB is always measured. The space `lab_planes` adds what some papers took for RGB, and what flatters them: L/100,
    a/220 + 1/2, b/220 + 1/2. Batch by batch: memory does not grow with the split, but for a few numbers a photo, its
    true embedding and KID's features (see `tintype.metrics.distributions`).

    Args:
        colorize: in eval mode, on `device`.
        features: on `device`.
        grid: where to write a PNG of the best, median and worst photos by CIEDE2000.
        space: of `tintype.color.SPACES`, in which `colorize` works; the spaces measured are those of `config`.
        torchvision: on `device`; adds `fid_torchvision`.
        classify: in eval mode, on `device`, over the split's classes; adds `class_accuracy`.
        truth: the split's embeddings, as `embed_truth` gives them; None: they are made here.

    Raises:
        ValueError: of fewer than 2 photos; the distances of distributions need variances. Or of Lab planes where
            `colorize` predicts others.
    """
    if len(split) < 2:
        raise ValueError(f"{len(split)} photo(s) to evaluate on: FID and KID need at least 2; take a larger test split")
    if "lab_planes" in config.spaces and space != "lab":
        raise ValueError(f"lab_planes of a colorizer in {space}; allowed: of one in lab")
    device, works_in = torch.device(device), SPACES[space]
    if truth is None:
        truth = embed_truth(split, features, config.spaces, device, torchvision)
    in_planes = "lab_planes" in config.spaces
    rgb = _Planes(features, truth["rgb"], len(split), device)
    planes = _Planes(features, truth["lab_planes"], len(split), device) if in_planes else None
    by_torchvision = FrechetDistance(truth[TORCHVISION], device) if torchvision is not None else None
    per_photo: dict[str, list[Tensor]] = defaultdict(list)

    for start in tqdm(range(0, len(split), config.batch_size), desc="evaluate", unit="batch", disable=None):
        lightness, chroma = _photos(split, slice(start, start + config.batch_size), works_in, device)
        predicted_chroma = colorize(lightness)
        predicted, true = shown(lightness, predicted_chroma, works_in), shown(lightness, chroma, works_in)
        rgb.update(predicted, true)
        if planes is not None:
            planes.update(lab_planes(lightness, predicted_chroma), lab_planes(lightness, chroma))
        if torchvision is not None and by_torchvision is not None:
            by_torchvision.update(torchvision(predicted))
        if classify is not None:
            labels = torch.from_numpy(split.labels[start : start + config.batch_size]).to(device)
            named = classify(lightness).argmax(dim=1)
            per_photo[CLASS_ACCURACY].append((named == labels)[labels >= 0])
        per_photo["custom_accuracy"].append(custom_accuracy(predicted, true))
        per_photo["ciede2000"].append(ciede2000(predicted, true))
        per_photo["colorfulness"].append(colorfulness(predicted))
        per_photo["true_colorfulness"].append(colorfulness(true))

    results = rgb.compute() | {name: _mean(values) for name, values in per_photo.items()}
    results["colorfulness_gap"] = abs(results["colorfulness"] - results["true_colorfulness"])
    if planes is not None:
        results |= {name + LAB_PLANES: value for name, value in planes.compute().items()}
    if by_torchvision is not None:
        results[FID_TORCHVISION] = by_torchvision.compute()
    if grid is not None:
        chosen = best_median_worst(torch.cat(per_photo["ciede2000"]).tolist(), config.samples)
        write_grid(grid, [(label, _row(colorize, split, index, works_in, device)) for index, label in chosen])
    names = metric_names(
        features.suffix, config.spaces, classes=classify is not None, torchvision=torchvision is not None
    )
    return {name: results[name] for name in names}


def _photos(split: LabSplit, chosen: slice, space: ColorSpace, device: torch.device) -> tuple[Tensor, Tensor]:
    """Lightness and chroma of some photos, network units."""
    return space.split(decode(split.codes[chosen]).to(device))


def _row(colorize: Colorize, split: LabSplit, index: int, space: ColorSpace, device: torch.device) -> list[Tensor]:
    """One photo gray, true and predicted: each (3, H, W) in [0, 1]."""
    lightness, chroma = _photos(split, slice(index, index + 1), space, device)
    return [space.gray(lightness)[0], *(shown(lightness, c, space)[0] for c in (chroma, colorize(lightness)))]


def _mean(per_photo: list[Tensor]) -> float:
    return float(torch.cat(per_photo).double().mean())
