"""`python -m benchmarks.pictures KIND PHOTOS OUT.jpg`: the contact sheets of the documentation.

before-after: each photo gray and in color, side by side. unpicked: the first photos of a seeded draw, each gray, in
color and as it was. worst: the same of the photos with the largest color difference.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from tqdm import tqdm

from benchmarks.quality import SUFFIXES
from tintype import Colorizer
from tintype.metrics.color import ciede2000

GAP = 4
"""Pixels between photos."""


def main() -> None:
    """Draw one sheet."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pictures", description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("photos", type=Path, nargs="+", help="photos, or a folder of them")
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="everyday", help="as of `tintype colorize`")
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--columns", type=int, default=4)
    parser.add_argument("--side", type=int, default=160, help="of a photo, pixels")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    chosen = parser.parse_args()
    paths = [file for path in chosen.photos for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    paths = [path for path in paths if path.suffix.lower() in SUFFIXES]
    colorizer = Colorizer.load(chosen.model)
    tiles = KINDS[chosen.kind](paths, colorizer, chosen)
    sheet(tiles, chosen.columns).save(chosen.out, quality=85)


def before_after(paths: Sequence[Path], colorizer: Colorizer, chosen: argparse.Namespace) -> list[Image.Image]:
    """Gray and in color, of the photos as they are named."""
    return [row(_gray_and_colored(path, colorizer)[:2], chosen.side) for path in paths[: chosen.count]]


def unpicked(paths: Sequence[Path], colorizer: Colorizer, chosen: argparse.Namespace) -> list[Image.Image]:
    """Gray, in color and true, of photos that a seed draws."""
    drawn = random.Random(chosen.seed).sample(list(paths), min(chosen.count, len(paths)))
    return [row(_gray_and_colored(path, colorizer), chosen.side) for path in drawn]


def worst(paths: Sequence[Path], colorizer: Colorizer, chosen: argparse.Namespace) -> list[Image.Image]:
    """Gray, in color and true, of the photos of the largest CIEDE2000, named on the way."""
    found = []
    for path in tqdm(paths, unit="photo", disable=None):
        photos = _gray_and_colored(path, colorizer)
        difference = ciede2000(*(_tensor(photo) for photo in photos[1:])).item()
        found.append((difference, path, photos))
    found.sort(key=lambda one: -one[0])
    for difference, path, _ in found[: chosen.count]:
        print(f"{difference:.1f} {path.name}")
    return [row(photos, chosen.side) for _, _, photos in found[: chosen.count]]


KINDS: dict[str, Callable[[Sequence[Path], Colorizer, argparse.Namespace], list[Image.Image]]] = {
    "before-after": before_after,
    "unpicked": unpicked,
    "worst": worst,
}


def _gray_and_colored(path: Path, colorizer: Colorizer) -> list[Image.Image]:
    """Gray, in color, and as it was."""
    with Image.open(path) as photo:
        truth = ImageOps.exif_transpose(photo).convert("RGB")
    colored = colorizer(path)
    assert isinstance(colored, Image.Image)
    return [truth.convert("L").convert("RGB"), colored.convert("RGB"), truth]


def _tensor(photo: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(photo)).movedim(2, 0)[None].float() / 255


def row(photos: Sequence[Image.Image], side: int) -> Image.Image:
    """The middle squares of photos, side by side without a gap."""
    canvas = Image.new("RGB", (side * len(photos), side))
    for column, photo in enumerate(photos):
        canvas.paste(ImageOps.fit(photo, (side, side), Image.Resampling.LANCZOS), (column * side, 0))
    return canvas


def sheet(tiles: Sequence[Image.Image], columns: int) -> Image.Image:
    """Tiles of one size in rows, on white."""
    width, height = tiles[0].size
    rows = -(-len(tiles) // columns)
    canvas = Image.new("RGB", (columns * (width + GAP) - GAP, rows * (height + GAP) - GAP), "white")
    for number, tile in enumerate(tiles):
        canvas.paste(tile, (number % columns * (width + GAP), number // columns * (height + GAP)))
    return canvas


if __name__ == "__main__":
    main()
