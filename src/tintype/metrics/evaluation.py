"""Evaluation of a predictor on a split of photos."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from tintype.color.colorfulness import colorfulness
from tintype.color.spaces import SPACES, ColorSpace
from tintype.config import Evaluate
from tintype.data.cache import LabCache, LabSplit
from tintype.data.lab_codes import decode
from tintype.devices import default_device
from tintype.features.network import FeatureNetwork
from tintype.features.reference import TORCHVISION, Reference, displayed_rgb, lab_planes, load_reference
from tintype.metrics.color import ciede2000
from tintype.metrics.distributions import FeatureDistances, FrechetDistance
from tintype.metrics.grid import best_median_worst, write_grid
from tintype.metrics.pixels import absolute_error, custom_accuracy, psnr, squared_error, ssim
from tintype.metrics.predictor import Predictor
from tintype.metrics.registry import CLASS_ACCURACY, FID_TORCHVISION, LAB_PLANES, metric_names


class _Planes:
    """Running results of three planes in [0, 1]: a few numbers per photo, and the data that FID and KID keep."""

    def __init__(self, features: FeatureNetwork, truth: Tensor, photos: int, device: torch.device) -> None:
        self._features = features
        self._distances = FeatureDistances(truth, photos, device)
        self._squared_error: list[Tensor] = []
        self._absolute_error: list[Tensor] = []
        self._ssim: list[Tensor] = []
        self._distance: list[Tensor] = []

    def update(self, predicted: Tensor, truth: Tensor) -> None:
        """Add predicted and true planes, (B, 3, H, W) each."""
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


# TF32, which cuDNN uses if allowed, has 10 bits. That is too few for SSIM's differences of squares.
@torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
@torch.no_grad()
def evaluate(
    predictor: Predictor, split: LabSplit, reference: Reference, config: Evaluate, grid: Path | None = None
) -> dict[str, float]:
    """Return every metric of a predictor on a split by full name, ordered like `tintype.metrics.registry.metric_names`.

    A prediction is the photo's lightness in the predictor's space with the predicted chroma, as 8-bit sRGB. In `lab` it
    is what a user gets. In `rgb` the generator predicts all planes. In `hsv` the value is that of the color photo.

    RGB is always measured. The space `lab_planes` adds the scaled planes that some papers took for RGB, and that give
    flattering metrics: L/100, a/220 + 1/2, b/220 + 1/2. `fid_torchvision` is included if the reference has that
    network, `class_accuracy` if the predictor has the split's classes.

    Evaluation runs batch by batch. Memory does not grow with the split, except for a few numbers per photo, its true
    embedding and KID's features (see `tintype.metrics.distributions`).

    Args:
        predictor: on the reference's device.
        split: the true photos.
        reference: of the split.
        config: the spaces to measure, and the batch size.
        grid: path for a PNG of the best, median and worst photos by CIEDE2000.

    Raises:
        ValueError: there are fewer than 2 photos, but the distances of distributions need variances. Or Lab planes are
            to be measured, but the predictor works in another space.
    """
    if len(split) < 2:
        raise ValueError(f"{len(split)} photo(s) to evaluate on: FID and KID need at least 2; take a larger test split")
    in_planes = "lab_planes" in config.spaces
    if in_planes and predictor.space != "lab":
        raise ValueError(f"lab_planes of a predictor in {predictor.space}; allowed: of one in lab")
    features, inception, device, truth = reference.features, reference.inception, reference.device, reference.embeddings
    space = SPACES[predictor.space]
    names_classes = bool(predictor.classes) and list(predictor.classes) == split.classes
    rgb = _Planes(features, truth["rgb"], len(split), device)
    planes = _Planes(features, truth["lab_planes"], len(split), device) if in_planes else None
    by_inception = FrechetDistance(truth[TORCHVISION], device) if inception is not None else None
    per_photo: dict[str, list[Tensor]] = defaultdict(list)

    for start in tqdm(range(0, len(split), config.batch_size), desc="evaluate", unit="batch", disable=None):
        lightness, chroma = _photos(split, slice(start, start + config.batch_size), space, device)
        prediction = predictor.predict(lightness)
        predicted, true = displayed_rgb(lightness, prediction.chroma, space), displayed_rgb(lightness, chroma, space)
        rgb.update(predicted, true)
        if planes is not None:
            planes.update(lab_planes(lightness, prediction.chroma), lab_planes(lightness, chroma))
        if inception is not None and by_inception is not None:
            by_inception.update(inception(predicted))
        if names_classes:
            assert prediction.class_logits is not None
            labels = torch.from_numpy(split.labels[start : start + config.batch_size]).to(device)
            named = prediction.class_logits.argmax(dim=1)
            per_photo[CLASS_ACCURACY].append((named == labels)[labels >= 0])
        per_photo["custom_accuracy"].append(custom_accuracy(predicted, true))
        per_photo["ciede2000"].append(ciede2000(predicted, true))
        per_photo["colorfulness"].append(colorfulness(predicted))
        per_photo["true_colorfulness"].append(colorfulness(true))

    results = rgb.compute() | {name: _mean(values) for name, values in per_photo.items()}
    results["colorfulness_gap"] = abs(results["colorfulness"] - results["true_colorfulness"])
    if planes is not None:
        results |= {name + LAB_PLANES: value for name, value in planes.compute().items()}
    if by_inception is not None:
        results[FID_TORCHVISION] = by_inception.compute()
    if grid is not None:
        chosen = best_median_worst(torch.cat(per_photo["ciede2000"]).tolist(), config.samples)
        write_grid(grid, [(label, _row(predictor, split, index, device)) for index, label in chosen])
    names = metric_names(features.suffix, config.spaces, classes=names_classes, torchvision=inception is not None)
    return {name: results[name] for name in names}


def evaluate_project(
    predictor: Predictor,
    cache: LabCache,
    features: Path,
    config: Evaluate,
    metrics: Path | None = None,
    samples: Path | None = None,
) -> dict[str, float]:
    """Return every metric on a project's test split.

    Args:
        predictor: on the default device.
        cache: of the project's photos.
        features: the folder of its feature networks, with the reference of its test photos.
        config: the spaces to measure, and the batch size.
        metrics: path to write the metrics to, as flat JSON.
        samples: path to write a PNG of sample photos to.
    """
    results = evaluate(predictor, cache.split("test"), load_reference(features, default_device()), config, samples)
    if metrics is not None:
        metrics.parent.mkdir(parents=True, exist_ok=True)
        metrics.write_text(json.dumps(results, indent=2) + "\n")
    return results


def _photos(split: LabSplit, chosen: slice, space: ColorSpace, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return lightness and chroma of some photos, in network units."""
    return space.split(decode(split.codes[chosen]).to(device))


def _row(predictor: Predictor, split: LabSplit, index: int, device: torch.device) -> list[Tensor]:
    """Return one photo gray, true and predicted, each (3, H, W) in [0, 1]."""
    space = SPACES[predictor.space]
    lightness, chroma = _photos(split, slice(index, index + 1), space, device)
    predicted = predictor.predict(lightness).chroma
    return [space.gray(lightness)[0], *(displayed_rgb(lightness, one, space)[0] for one in (chroma, predicted))]


def _mean(per_photo: list[Tensor]) -> float:
    return float(torch.cat(per_photo).double().mean())
