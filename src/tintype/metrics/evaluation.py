"""A colorizer measured on a split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor
from tqdm import tqdm

from tintype.color import lab_to_net, lab_to_rgb, net_to_lab, to_uint8
from tintype.config import Evaluate
from tintype.data.cache import LabSplit, decode
from tintype.features.network import FeatureNetwork
from tintype.metrics import LAB_PLANES, metric_names
from tintype.metrics.colour import ciede2000, colorfulness
from tintype.metrics.distributions import FeatureDistances
from tintype.metrics.grid import best_median_worst, write_grid
from tintype.metrics.pixels import psnr, squared_error, ssim

Colorize: TypeAlias = Callable[[Tensor], Tensor]
"""Lightness (B, 1, H, W) -> chroma (B, 2, H, W), network units."""


class _Space:
    """The running figures of one space of three planes in [0, 1]: a few numbers a photo, and what FID and KID keep."""

    def __init__(self, features: FeatureNetwork, photos: int, device: torch.device) -> None:
        self._features = features
        self._distances = FeatureDistances(features.num_features, photos, device)
        self._squared_error: list[Tensor] = []
        self._ssim: list[Tensor] = []
        self._lpips: list[Tensor] = []

    def update(self, predicted: Tensor, truth: Tensor) -> None:
        """(B, 3, H, W) twice."""
        self._squared_error.append(squared_error(predicted, truth))
        self._ssim.append(ssim(predicted, truth))
        self._lpips.append(self._features.distance(predicted, truth))
        self._distances.update(self._features.embed(predicted), self._features.embed(truth))

    def compute(self) -> dict[str, float]:
        errors = torch.cat(self._squared_error).double()
        by_network = {"lpips": _mean(self._lpips)} | self._distances.compute()
        return {
            "psnr": float(psnr(errors).mean()),
            "psnr_pooled": float(psnr(errors.mean())),
            "ssim": _mean(self._ssim),
            "rmse": float(errors.mean().sqrt()),
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
) -> dict[str, float]:
    """Every metric of `colorize` on `split`, by full name, in the order of `tintype.metrics.metric_names`.

    A prediction is what a user gets: the true lightness with the predicted chroma, as 8-bit sRGB. RGB is always
    measured. The space `lab_planes` adds what some papers took for RGB, and what flatters them: L/100, a/220 + 1/2,
    b/220 + 1/2. Batch by batch: memory does not grow with the split, but for a few numbers a photo and KID's features
    (see `tintype.metrics.distributions`).

    Args:
        colorize: in eval mode, on `device`.
        features: on `device`.
        grid: where to write a PNG of the best, median and worst photos by CIEDE2000.

    Raises:
        ValueError: of fewer than 2 photos; the distances of distributions need variances.
    """
    if len(split) < 2:
        raise ValueError(f"{len(split)} photo(s) to evaluate on: FID and KID need at least 2; take a larger test split")
    device = torch.device(device)
    rgb = _Space(features, len(split), device)
    planes = _Space(features, len(split), device) if "lab_planes" in config.spaces else None
    colour: dict[str, list[Tensor]] = defaultdict(list)

    for start in tqdm(range(0, len(split), config.batch_size), desc="evaluate", unit="batch", disable=None):
        lightness, chroma = _photos(split, slice(start, start + config.batch_size), device)
        predicted_chroma = colorize(lightness)
        predicted, truth = shown(lightness, predicted_chroma), shown(lightness, chroma)
        rgb.update(predicted, truth)
        if planes is not None:
            planes.update(lab_planes(lightness, predicted_chroma), lab_planes(lightness, chroma))
        colour["difference"].append(ciede2000(predicted, truth))
        colour["predicted"].append(colorfulness(predicted))
        colour["true"].append(colorfulness(truth))

    figures = rgb.compute() | {
        "ciede2000": _mean(colour["difference"]),
        "colorfulness": _mean(colour["predicted"]),
        "colorfulness_gap": abs(_mean(colour["predicted"]) - _mean(colour["true"])),
    }
    if planes is not None:
        figures |= {name + LAB_PLANES: value for name, value in planes.compute().items()}
    if grid is not None:
        chosen = best_median_worst(torch.cat(colour["difference"]).tolist(), config.samples)
        write_grid(grid, [(label, _row(colorize, split, index, device)) for index, label in chosen])
    return {name: figures[name] for name in metric_names(features.suffix, config.spaces)}


def shown(lightness: Tensor, chroma: Tensor) -> Tensor:
    """Network units -> sRGB (B, 3, H, W) in [0, 1], in steps of 1/255 as every screen and file has it."""
    return to_uint8(lab_to_rgb(net_to_lab(lightness, chroma))) / 255


def lab_planes(lightness: Tensor, chroma: Tensor) -> Tensor:
    """Network units -> the planes L, a, b (B, 3, H, W), each scaled to [0, 1]; white is (1, 1/2, 1/2)."""
    return torch.cat([lightness, chroma], dim=1) / 2 + 0.5


def _photos(split: LabSplit, chosen: slice, device: torch.device) -> tuple[Tensor, Tensor]:
    """Lightness and chroma of some photos, network units."""
    return lab_to_net(decode(split.codes[chosen]).to(device))


def _row(colorize: Colorize, split: LabSplit, index: int, device: torch.device) -> list[Tensor]:
    """One photo gray, true and predicted: each (3, H, W) in [0, 1]."""
    lightness, chroma = _photos(split, slice(index, index + 1), device)
    return [shown(lightness, c)[0] for c in (torch.zeros_like(chroma), chroma, colorize(lightness))]


def _mean(per_photo: list[Tensor]) -> float:
    return float(torch.cat(per_photo).double().mean())
