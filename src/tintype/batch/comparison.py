"""Color photos, recolored, against what they were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from tintype.images.photo import Photo

MEASURED_PIXELS = 1 << 20
"""Larger photos are measured shrunk to so many: more tell no more of a network's 256x256, and need memory and time."""
NAMES = ("psnr", "ssim", "rmse", "mae", "ciede2000", "colorfulness", "true_colorfulness")
"""What `measure` gives, `tintype.metrics.METRICS` says what they are; the last is the original's."""


def measure(result: Photo, original: Photo) -> dict[str, float]:
    """How far a result is from its original, in 8-bit sRGB as every screen has it; see `NAMES`.

    Raises:
        ImportError: torch or torchmetrics is not installed; coloring needs neither.
    """
    import torch

    from tintype.color.colorfulness import colorfulness
    from tintype.metrics.color import ciede2000
    from tintype.metrics.pixels import absolute_error, psnr, squared_error, ssim

    predicted, truth = (torch.from_numpy(_planes(photo)) for photo in (result, original))
    error = squared_error(predicted, truth)
    metrics = {
        "psnr": psnr(error),
        "ssim": ssim(predicted, truth),
        "rmse": error.sqrt(),
        "mae": absolute_error(predicted, truth),
        "ciede2000": ciede2000(predicted, truth),
        "colorfulness": colorfulness(predicted),
        "true_colorfulness": colorfulness(truth),
    }
    return {name: float(metrics[name]) for name in NAMES}


def mean(measured: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of each value over the photos; at least one."""
    return {name: float(np.mean([metrics[name] for metrics in measured])) for name in NAMES}


def table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Names and metrics in columns, for a terminal."""
    from tintype.metrics.registry import METRICS

    arrows = {"min": " ↓", "max": " ↑", None: ""}
    kinds = [METRICS[name.removeprefix("true_")] for name in NAMES]
    lines = [["photo", *(name + arrows[kind.direction] for name, kind in zip(NAMES, kinds, strict=True))]]
    for row, metrics in rows.items():
        cells = (f"{metrics[name]:.{kind.digits}f}" for name, kind in zip(NAMES, kinds, strict=True))
        lines.append([row, *cells])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        )
        for line in lines
    )


def _planes(photo: Photo) -> np.ndarray:
    """(1, 3, H, W) float32 in [0, 1], in steps of 1/255."""
    image = photo.to_image().convert("RGB")
    if (share := (MEASURED_PIXELS / (image.width * image.height)) ** 0.5) < 1:
        size = max(1, round(image.width * share)), max(1, round(image.height * share))
        image = image.resize(size, Image.Resampling.BOX)
    return np.asarray(image, np.float32).transpose(2, 0, 1)[None] / np.float32(255)
