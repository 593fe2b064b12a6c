"""`python -m benchmarks.edges PHOTOS`: ways to enlarge a network's chroma to a photo's size, compared in one run.

True chroma, averaged down to a network's grid, is enlarged again by each way; or, with ``--model``, the chroma that a
model predicts. What comes out is compared with the photo by CIEDE2000, over all pixels and over those near edges of
chroma: within 4 pixels of a slope of more than 5 Lab units a pixel, both at a short side of 512 pixels. Then every way
is timed, as a part of a whole photo's time: decode, prepare, join, encode. The network is left out, so the ratios are
upper bounds.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import maximum_filter, sobel, uniform_filter
from skimage import data
from tqdm import tqdm

from tintype.color.difference import delta_e_ciede2000
from tintype.color.lab import rgb8_to_lab
from tintype.images.encoding import encode_photo
from tintype.inference import colorizer
from tintype.inference.colorizer import Colorizer, network_size
from tintype.inference.model_card import ModelCard
from tintype.inference.recombination import resized
from tintype.inference.upsampling import SIDE, predicted_grid, upsample

SAMPLES = 20_000
"""Pixels of each photo that are compared, drawn at random, and as many near edges."""
EDGE = 5.0
"""Slope of a or b from which there is an edge, Lab units a pixel at `SIDE`."""
NEAR = 4
"""How far from an edge is near, pixels at `SIDE`."""
ENOUGH = 0.003
"""Photos with a smaller share of pixels near edges are left out of those metrics."""
BOX, BILINEAR, BICUBIC = Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC
ROUNDS = 7
MEGAPIXELS = (0.2, 1, 4, 12)

Way = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Chroma (2, h, w) and the photo's L* (H, W) -> chroma (2, H, W)."""


def main() -> None:
    """Print tables in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.edges", description=__doc__.split(":")[0])
    parser.add_argument("photos", type=Path, help="a folder of color photos")
    parser.add_argument("--model", help="compare its predictions; as in `tintype colorize --model`")
    parser.add_argument("--grid", type=int, default=48, help="short side of the grid of true chroma (default: 48)")
    parser.add_argument("--least", type=float, default=0, help="leave out photos of fewer megapixels")
    parser.add_argument("--every", type=int, default=1, help="take every n-th photo")
    chosen = parser.parse_args()
    files = [file for file in sorted(chosen.photos.iterdir()) if _is_color(file, chosen.least)][:: chosen.every]
    model = Colorizer.load(chosen.model) if chosen.model else None
    torch.set_num_threads(1)
    for grain in (0, 5):
        print(quality_table(files, model, chosen.grid, grain), flush=True)
    print(time_table(chosen.grid))


def bicubic(ab: np.ndarray, lightness: np.ndarray) -> np.ndarray:
    """What is compared with."""
    return _planes(ab, lightness.shape, BICUBIC)


def bicubic_twice(ab: np.ndarray, lightness: np.ndarray) -> np.ndarray:
    """By the network to its own size, and from there to the photo's."""
    enlarged = torch.nn.functional.interpolate(torch.from_numpy(ab)[None], scale_factor=4, mode="bicubic")
    return bicubic(enlarged[0].numpy(), lightness)


def guided_filter(ab: np.ndarray, lightness: np.ndarray) -> np.ndarray:
    """The fast guided filter (arXiv:1505.00996): the grid's coefficients, enlarged, times the photo's lightness."""
    coarse, size = _plane(lightness, ab.shape[1:], BOX), lightness.shape
    enlarged = ((_plane(_mean(a), size, BILINEAR), _plane(_mean(b), size, BILINEAR)) for a, b in _lines(ab, coarse, 4))
    return np.stack([a * lightness + b for a, b in enlarged])


def guided_filter_from(side: int) -> Way:
    """The same with coefficients from chroma that is first enlarged to a short side of `side`."""

    def way(ab: np.ndarray, lightness: np.ndarray) -> np.ndarray:
        return guided_filter(_planes(ab, _shape(ab.shape[1:], side), BICUBIC), lightness)

    return way


def injected_detail(ab: np.ndarray, lightness: np.ndarray) -> np.ndarray:
    """Bicubic, and the slopes of the guided filter times the lightness's detail that the grid misses."""
    coarse, size = _plane(lightness, ab.shape[1:], BOX), lightness.shape
    detail = lightness - _plane(coarse, size, BICUBIC)
    slopes = (_plane(_mean(slope), size, BILINEAR) for slope, _ in _lines(ab, coarse, 16))
    return bicubic(ab, lightness) + [slope * detail for slope in slopes]


def joint_bilateral(ab: np.ndarray, lightness: np.ndarray) -> np.ndarray:
    """Joint bilateral upsampling (Kopf et al. 2007, doi:10.1145/1276377.1276497) over 3x3 cells of the grid.

    To a short side of `SIDE`, and bicubic from there: at the photo's own size it is no better, and many times as slow.
    """
    guide = _plane(lightness, _shape(lightness.shape, min(*lightness.shape, SIDE)), BOX)
    coarse = _plane(lightness, ab.shape[1:], BOX)
    (y, rows), (x, columns) = (
        (position, np.rint(position).astype(int))
        for position in ((np.arange(n) + 0.5) * m / n - 0.5 for n, m in zip(guide.shape, coarse.shape, strict=True))
    )
    total, out = np.full_like(guide, 1e-6), np.zeros((2, *guide.shape), np.float32)
    for row in (rows - 1, rows, rows + 1):
        for column in (columns - 1, columns, columns + 1):
            cells = np.ix_(row.clip(0, len(coarse) - 1), column.clip(0, coarse.shape[1] - 1))
            near = np.exp(-2 * np.add.outer((row - y) ** 2, (column - x) ** 2)).astype(np.float32)  # sigma 0.5
            weight = near * (np.exp(-0.5 * ((guide - coarse[cells]) / 10) ** 2) + np.float32(1e-4))
            total += weight
            out += weight * ab[:, *cells]
    return bicubic(out / total, lightness)


def along_edges(ab: np.ndarray, lightness: np.ndarray) -> np.ndarray:
    """As `Colorizer` does."""
    height, width = lightness.shape
    guide = resized(lightness, *network_size(height, width, min(height, width, SIDE)))
    return bicubic(upsample(ab, guide), lightness)


WAYS: dict[str, Way] = {
    "bicubic": bicubic,
    "bicubic x4, then bicubic": bicubic_twice,
    "guided filter": guided_filter,
    "guided filter from 4 times the grid": guided_filter_from(192),
    "joint bilateral": joint_bilateral,
    "guided filter's slopes times detail": injected_detail,
    "the same step by step, by R² (kept)": along_edges,
}


class Score(NamedTuple):
    """Mean CIEDE2000 of a photo."""

    everywhere: float
    near_edges: float
    """NaN in a photo that has hardly any."""


def quality_table(files: list[Path], model: Colorizer | None, grid: int, grain: float) -> str:
    """Every way on every photo.

    Args:
        files: color photos.
        model: what predicts chroma; None: it is the photo's own.
        grid: short side of that chroma.
        grain: standard deviation of noise in the lightness that networks and ways see, L*.
    """
    scores: dict[str, list[Score]] = {name: [] for name in WAYS}
    megapixels = []
    for file in tqdm(files, disable=None):
        rgb = np.asarray(Image.open(file).convert("RGB"))
        lab = np.concatenate([rgb8_to_lab(rows).numpy() for rows in np.array_split(rgb, max(1, len(rgb) // 512))], 1)
        rng = np.random.default_rng(0)
        noise = rng.normal(0, grain, lab.shape[1:]) if grain else 0
        lightness = (lab[0] + noise).clip(0, 100).astype(np.float32)
        ab = _predicted(model, lightness) if model else _averaged(lab[1:], grid)
        everywhere = rng.integers(0, lightness.size, SAMPLES)
        edges = np.flatnonzero(_near_edges(lab[1:]))
        near = rng.choice(edges, SAMPLES) if len(edges) > ENOUGH * lightness.size else None
        for name, way in WAYS.items():
            enlarged = way(ab, lightness)
            score = (_difference(lab, enlarged, pixels) for pixels in (everywhere, near))
            scores[name].append(Score(*score))
        megapixels.append(lightness.size / 1e6)
    about = f"chroma predicted by {model.backend.image_size} px" if model else f"true chroma, {grid} cells"
    lines = [
        f"\n{len(files)} photos of {min(megapixels):.2g} to {max(megapixels):.2g} megapixels, {about}, "
        f"grain {grain:g}\n",
        "| | CIEDE2000 | ratio | near edges | ratio | better near edges in |",
        "|---|---|---|---|---|---|",
    ]
    base = np.array(scores["bicubic"])
    for name in WAYS:
        metrics = np.array(scores[name])
        (all_, edge), (all_ratio, edge_ratio) = (np.nanmean(metrics, 0), np.nanmean(metrics, 0) / np.nanmean(base, 0))
        with_edges = ~np.isnan(base[:, 1])
        better = f"{(metrics < base)[with_edges, 1].sum()} of {with_edges.sum()}" if name != "bicubic" else ""
        lines.append(f"| {name} | {all_:.3f} | {all_ratio:.3f} | {edge:.3f} | {edge_ratio:.3f} | {better} |")
    return "\n".join(lines)


def time_table(grid: int) -> str:
    """How many times as long as with bicubic a whole photo takes: minima over rounds in which each has its turn."""
    lines = [
        "\n| megapixels | " + " | ".join(map(str, MEGAPIXELS)) + " |",
        "|---|" + "---|" * len(MEGAPIXELS),
    ]
    columns = [_times(size, grid) for size in MEGAPIXELS]
    lines += [f"| {row} | " + " | ".join(column[row] for column in columns) + " |" for row in columns[0]]
    return "\n".join(lines)


class _Random:
    """A backend that takes no time."""

    stochastic = False
    chroma_stride = 4
    card: ModelCard | None = None

    def __init__(self, grid: int) -> None:
        self.image_size = 4 * grid

    def __call__(self, lightness: np.ndarray, seed: int | None = None) -> np.ndarray:
        batch, _, height, width = lightness.shape
        return np.random.default_rng(0).normal(0, 15, (batch, 2, height, width)).astype(np.float32)


def _times(megapixels: float, grid: int) -> dict[str, str]:
    """Of a photo enlarged to that size: its content hardly matters here."""
    side = round((megapixels * 1e6 * 0.75) ** 0.5)
    photo = Image.fromarray(data.coffee()).convert("L").resize((side * 4 // 3, side), BICUBIC)
    with io.BytesIO() as file:
        photo.save(file, "JPEG", quality=90)
        jpeg = file.getvalue()
    model = Colorizer(_Random(grid))
    lightness = np.asarray(photo, np.float32) / 2.55
    ab = _predicted(model, lightness)

    def whole() -> None:
        prepared = model.prepare(jpeg)
        encode_photo(model.finish(prepared, model.predict([prepared])[0]))

    def whole_bicubic() -> None:
        with patch.object(colorizer, "upsample", lambda ab, _: ab), patch.object(colorizer, "SIDE", 1):
            whole()

    runs: dict[str, Callable[[], object]] = {"whole": whole, "whole bicubic": whole_bicubic}
    runs |= {name: lambda way=way: way(ab, lightness) for name, way in WAYS.items()}  # type: ignore[misc]
    seconds = dict.fromkeys(runs, np.inf)
    for _ in range(ROUNDS):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    base = seconds["whole bicubic"]
    return {
        "a whole photo with bicubic": f"{base:.2f} s",
        "a whole photo as it is now": f"{seconds['whole'] / base:.2f}",
        **{name: f"{1 + (seconds[name] - seconds['bicubic']) / base:.2f}" for name in WAYS},
    }


def _is_color(file: Path, least: float) -> bool:
    try:
        with Image.open(file) as image:
            return image.mode == "RGB" and image.width * image.height >= least * 1e6
    except OSError:
        return False


def _averaged(ab: np.ndarray, grid: int) -> np.ndarray:
    height, width = network_size(ab.shape[1], ab.shape[2], 4 * grid)
    return _planes(ab, (height // 4, width // 4), BOX)


def _predicted(model: Colorizer, lightness: np.ndarray) -> np.ndarray:
    height, width = lightness.shape
    seen = resized(lightness, *network_size(height, width, model.size))
    return predicted_grid(model.backend(seen[None, None])[0], model.backend.chroma_stride)


def _near_edges(ab: np.ndarray) -> np.ndarray:
    """(2, H, W) -> (H, W) bool."""
    small = _planes(ab, _shape(ab.shape[1:], SIDE), BOX)
    slope = np.sqrt(sum(sobel(plane, axis=axis) ** 2 for plane in small for axis in (0, 1))) / 8
    near = maximum_filter((slope > EDGE).astype(np.uint8), 2 * NEAR + 1)
    return np.asarray(Image.fromarray(near).resize(ab.shape[:0:-1], Image.Resampling.NEAREST)) > 0


def _difference(lab: np.ndarray, ab: np.ndarray, pixels: np.ndarray | None) -> float:
    """Mean CIEDE2000 over some pixels between the photo, and its lightness with other chroma."""
    if pixels is None:
        return float("nan")
    truth = torch.from_numpy(lab.reshape(3, -1)[:, None, pixels])
    found = torch.cat([truth[:1], torch.from_numpy(ab.reshape(2, -1)[:, None, pixels])])
    return float(delta_e_ciede2000(truth, found).mean())


def _lines(ab: np.ndarray, lightness: np.ndarray, noise: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Slope and offset of a and of b as functions of L*, in 3x3 cells; `noise` is the guided filter's epsilon."""
    mean = _mean(lightness)
    variance = _mean(lightness * lightness) - mean**2 + np.float32(noise)
    slopes = [(_mean(lightness * plane) - mean * _mean(plane)) / variance for plane in ab]
    return [(slope, _mean(plane) - slope * mean) for slope, plane in zip(slopes, ab, strict=True)]


def _mean(plane: np.ndarray) -> np.ndarray:
    return uniform_filter(plane, 3, mode="nearest")


def _shape(shape: tuple[int, ...], side: int) -> tuple[int, ...]:
    """Of about the same proportions, with a short side of `side`."""
    return tuple(round(length * side / min(shape)) for length in shape)


def _planes(ab: np.ndarray, shape: tuple[int, ...], method: Image.Resampling) -> np.ndarray:
    return np.stack([_plane(plane, shape, method) for plane in ab])


def _plane(plane: np.ndarray, shape: tuple[int, ...], method: Image.Resampling) -> np.ndarray:
    height, width = shape
    return np.asarray(Image.fromarray(np.ascontiguousarray(plane, np.float32)).resize((width, height), method))


if __name__ == "__main__":
    main()
