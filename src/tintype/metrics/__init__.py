"""What is measured, by name; the measuring itself is `evaluate`.

A full name is the metric's, then the feature network's suffix where one made the figure, then the space where it is not
RGB: `psnr`, `fid_in_domain`, `kid_in_domain_lab_planes`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tintype.config import FLOOR_NAMES, ConfigError

if TYPE_CHECKING:
    from tintype.metrics.evaluation import Colorize, evaluate

__all__ = ["FLOOR_NAMES", "METRICS", "Colorize", "Metric", "evaluate", "metric_names", "metric_of", "ranking_direction"]


@dataclass(frozen=True)
class Metric:
    """How to read a figure.

    Attributes:
        direction: which is better; None where neither is.
        digits: after the decimal point, in tables.
        description: one line.
        by_network: a feature network makes it, its suffix belongs to the name.
        in_lab_planes: is also taken in that space.
    """

    direction: Literal["min", "max"] | None
    digits: int
    description: str
    by_network: bool = False
    in_lab_planes: bool = True


METRICS = {
    "psnr": Metric("max", 2, "peak signal-to-noise ratio, dB; mean over photos, each capped at 100"),
    "psnr_pooled": Metric("max", 2, "peak signal-to-noise ratio of the mean squared error of all photos, dB"),
    "ssim": Metric("max", 3, "structural similarity; hardly sees colour, do not rank by it alone"),
    "rmse": Metric("min", 4, "root mean squared error over all photos, values in [0, 1]"),
    "ciede2000": Metric("min", 2, "colour difference, mean over pixels", in_lab_planes=False),
    "colorfulness": Metric(None, 1, "Hasler and Süsstrunk's, mean over photos", in_lab_planes=False),
    "colorfulness_gap": Metric("min", 1, "|mean predicted - mean true colorfulness|", in_lab_planes=False),
    "lpips": Metric("min", 4, "learned perceptual distance, mean over photos", by_network=True),
    "fid": Metric("min", 3, "Fréchet distance of the feature distributions", by_network=True),
    "kid": Metric("min", 5, "kernel distance (unbiased squared MMD) of the feature distributions", by_network=True),
}

SUFFIXES = ("", "_in_domain")
LAB_PLANES = "_lab_planes"


def metric_names(suffix: str, spaces: Iterable[str]) -> list[str]:
    """The full names that `evaluate` returns, in order, with a feature network of `suffix`."""
    rgb = {name: name + suffix * metric.by_network for name, metric in METRICS.items()}
    planes = [full + LAB_PLANES for name, full in rgb.items() if METRICS[name].in_lab_planes]
    return [*rgb.values(), *(planes if "lab_planes" in spaces else [])]


def metric_of(name: str) -> Metric:
    """The metric behind a full name. Raises `ConfigError` if there is none such."""
    base = name.removesuffix(LAB_PLANES).removesuffix("_in_domain")
    if not any(name in metric_names(suffix, ["lab_planes"]) for suffix in SUFFIXES):
        raise ConfigError(
            f"metric {name!r}: unknown; allowed: {', '.join(METRICS)}, the last three with _in_domain where that "
            f"network made them, all but ciede2000, colorfulness and colorfulness_gap also with {LAB_PLANES}"
        )
    return METRICS[base]


def ranking_direction(metric: str, measured: Iterable[str]) -> Literal["min", "max"]:
    """Which way `metric` ranks rows. Raises `ConfigError` if it is not one of `measured`, or ranks nothing."""
    ranking = {name: direction for name in measured if (direction := metric_of(name).direction)}
    if metric not in ranking:
        raise ConfigError(f"register.metric = {metric!r}: not measured here; allowed: {', '.join(ranking)}")
    return ranking[metric]


def __getattr__(name: str) -> Any:
    # PEP 562: those who only read names, such as the check of the params, do not wait for torch.
    if name in ("Colorize", "evaluate"):
        from tintype.metrics import evaluation

        return getattr(evaluation, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
