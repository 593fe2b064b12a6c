"""Comparison of recolored photos with their originals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tintype.images.photo import Photo, as_rgb

STRIP = 1 << 18
"""Pixels measured at a time, so that memory does not grow with the photo."""
CONTEXT = 5
"""Rows above and below a strip that SSIM's window reaches into."""
NAMES = ("psnr", "ssim", "rmse", "mae", "ciede2000", "colorfulness", "true_colorfulness")
"""Metrics that `measure` returns, described in `tintype.metrics.registry.METRICS`. The last is the original's."""


def measure(result: Photo, original: Photo) -> dict[str, float]:
    """Compare a result with its original at full size, in 8-bit sRGB as every screen shows it; see `NAMES`.

    Raises:
        ImportError: torch or torchmetrics is not installed; coloring needs neither.
    """
    import torch

    from tintype.color.colorfulness import Colorfulness
    from tintype.metrics.color import ciede2000
    from tintype.metrics.pixels import absolute_error, psnr, squared_error, ssim_map

    height, width = original.pixels.shape[:2]
    rows = max(1, STRIP // width)
    sums = dict.fromkeys(("squared", "absolute", "ssim", "ciede2000"), 0.0)
    of_result, of_original = Colorfulness(), Colorfulness()
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        above, below = max(0, top - CONTEXT), min(height, bottom + CONTEXT)
        wide = [torch.from_numpy(_planes(photo, above, below)) for photo in (result, original)]
        inner = slice(top - above, bottom - above)
        predicted, truth = (planes[:, :, inner] for planes in wide)
        share = (bottom - top) / height
        sums["squared"] += share * float(squared_error(predicted, truth))
        sums["absolute"] += share * float(absolute_error(predicted, truth))
        sums["ssim"] += share * float(ssim_map(*wide)[:, :, inner].mean())
        sums["ciede2000"] += share * float(ciede2000(predicted, truth))
        of_result.update(predicted)
        of_original.update(truth)
    return {
        "psnr": float(psnr(torch.tensor(sums["squared"]))),
        "ssim": sums["ssim"],
        "rmse": sums["squared"] ** 0.5,
        "mae": sums["absolute"],
        "ciede2000": sums["ciede2000"],
        "colorfulness": of_result.compute(),
        "true_colorfulness": of_original.compute(),
    }


def mean(measured: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each metric over the photos, of which there must be at least one."""
    return {name: float(np.mean([metrics[name] for metrics in measured])) for name in NAMES}


def table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Return names and metrics in columns, for a terminal."""
    from tintype.metrics.registry import ARROWS, METRICS

    kinds = [METRICS[name.removeprefix("true_")] for name in NAMES]
    lines = [["photo", *(name + ARROWS[kind.direction] for name, kind in zip(NAMES, kinds, strict=True))]]
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


def _planes(photo: Photo, top: int, bottom: int) -> np.ndarray:
    """Return some rows as (1, 3, h, W) float32 in [0, 1], in steps of 1/255."""
    rgb = as_rgb(photo.with_pixels(photo.pixels[top:bottom]).in_8_bits)
    return np.ascontiguousarray(rgb.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
