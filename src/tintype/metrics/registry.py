"""The metrics by name. `tintype.metrics.evaluation` computes them.

A full name is the metric's name, then the suffix of the feature network if one computed the value, then the space if it
is not RGB: `psnr`, `fid_lite2`, `kid_lite2_lab_planes`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from tintype.config import Project
from tintype.errors import UserError


@dataclass(frozen=True)
class Metric:
    """How to read a metric's value.

    Attributes:
        direction: which values are better, or None if neither is.
        digits: digits after the decimal point, in tables.
        description: one line.
        by: suffixes of the feature networks that can compute it. () if none does.
        in_lab_planes: whether it is also measured in that space.
    """

    direction: Literal["min", "max"] | None
    digits: int
    description: str
    by: tuple[str, ...] = ()
    in_lab_planes: bool = True


ARROWS = {"min": " ↓", "max": " ↑", None: ""}
"""Mark behind a metric's name in tables, by its direction."""

SUFFIXES = {"efficientnet_lite": "_lite2", "imagenet": ""}
"""Suffix of metric names by ``features.network``."""
LITE2, IMAGENET = SUFFIXES.values()

METRICS = {
    "psnr": Metric("max", 2, "peak signal-to-noise ratio, dB; mean over photos, each capped at 100"),
    "psnr_pooled": Metric("max", 2, "peak signal-to-noise ratio of the mean squared error of all photos, dB"),
    "ssim": Metric("max", 3, "structural similarity; hardly sees color, do not rank by it alone"),
    "rmse": Metric("min", 4, "root mean squared error over all photos, values in [0, 1]"),
    "mae": Metric("min", 4, "mean absolute error over all photos, values in [0, 1]"),
    "custom_accuracy": Metric(
        "max", 3, "share of pixels whose difference d has max|d| < 0.14 and ||d|| < 0.17", in_lab_planes=False
    ),
    "ciede2000": Metric("min", 2, "color difference, mean over pixels", in_lab_planes=False),
    "colorfulness": Metric(None, 1, "Hasler and Süsstrunk's, mean over photos", in_lab_planes=False),
    "colorfulness_gap": Metric("min", 1, "|mean predicted - mean true colorfulness|", in_lab_planes=False),
    "lpips": Metric("min", 4, "learned perceptual distance, mean over photos", by=(IMAGENET,)),
    "feature_distance": Metric("min", 4, "distance of the features of a photo, mean over photos", by=(LITE2,)),
    "fid": Metric("min", 3, "Fréchet distance of the feature distributions", by=(LITE2, IMAGENET)),
    "kid": Metric(
        "min", 5, "kernel distance (unbiased squared MMD) of the feature distributions", by=(LITE2, IMAGENET)
    ),
    "class_accuracy": Metric(
        "max", 3, "share of photos whose class the class branch names, where a row has one", in_lab_planes=False
    ),
    "fid_torchvision": Metric(
        "min", 3, "Fréchet distance by torchvision's Inception, as torcheval's", in_lab_planes=False
    ),
}
CLASS_ACCURACY = "class_accuracy"
FID_TORCHVISION = "fid_torchvision"
LAB_PLANES = "_lab_planes"


def metric_names(suffix: str, spaces: Iterable[str], *, classes: bool = False, torchvision: bool = False) -> list[str]:
    """Return the full names that `evaluate` returns, in order.

    Args:
        suffix: of the feature network.
        spaces: as in ``evaluate.spaces``.
        classes: whether to include `class_accuracy`.
        torchvision: whether to include `fid_torchvision`.
    """
    rgb = {
        name: name + suffix if metric.by else name
        for name, metric in METRICS.items()
        if not metric.by or suffix in metric.by
    }
    if not classes:
        del rgb[CLASS_ACCURACY]
    if not torchvision:
        del rgb[FID_TORCHVISION]
    planes = [full + LAB_PLANES for name, full in rgb.items() if METRICS[name].in_lab_planes]
    return [*rgb.values(), *(planes if "lab_planes" in spaces else [])]


def metric_of(name: str) -> Metric:
    """Return the metric of a full name. Raises `UserError` if there is no such metric."""
    base = name.removesuffix(LAB_PLANES)
    for suffix in SUFFIXES.values():
        if name in metric_names(suffix, ["lab_planes"], classes=True, torchvision=True):
            return METRICS[base if base in METRICS else base.removesuffix(suffix)]
    lite2 = ", ".join(base + LITE2 for base, metric in METRICS.items() if LITE2 in metric.by)
    published = ", ".join(base for base, metric in METRICS.items() if not metric.by or IMAGENET in metric.by)
    in_lab_planes = ", ".join(base for base, metric in METRICS.items() if metric.in_lab_planes)
    raise UserError(
        f"metric {name!r}: unknown; allowed: {published}, {lite2}; with {LAB_PLANES} at the end: {in_lab_planes}"
    )


def ranking_direction(metric: str, measured: Iterable[str]) -> Literal["min", "max"]:
    """Return the direction in which `metric` ranks rows. Raises `UserError` if it is not measured or ranks nothing."""
    ranking = {name: direction for name in measured if (direction := metric_of(name).direction)}
    if metric not in ranking:
        raise UserError(f"register.metric = {metric!r}: not measured here; allowed: {', '.join(ranking)}")
    return ranking[metric]


def check_names(project: Project) -> None:
    """Refuse metrics that a project names but will not measure, and unknown metrics, before any work.

    Raises `UserError`.
    """
    suffix = SUFFIXES[project.features.network]
    ranking_direction(
        project.register_.metric,
        metric_names(suffix, project.evaluate.spaces, torchvision=project.features.fid_torchvision),
    )
    for row in project.published.values():
        for name in row.metrics:
            metric_of(name)
