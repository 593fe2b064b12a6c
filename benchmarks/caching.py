"""Building the Lab cache, against opening, resizing, converting and saving photo by photo with PIL and scikit-image."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.pool import Pool
from operator import truediv
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from skimage.color import rgb2lab

from tintype.config import Preprocess
from tintype.data.cache_builder import build_cache
from tintype.data.curation import write_table
from tintype.files import sha256_of
from tintype.images.decoding import read_rgb
from tintype.images.formats import SUFFIXES
from tintype.images.opening import UnreadablePhoto

SIZE = 256
PHOTOS = 64
ROUNDS = 5
MAX_PIXELS = 100_000_000


def run(folder: Path | None = None) -> dict[str, Any]:
    """Both ways in turn, with one core, then with all; medians over the rounds.

    Args:
        folder: of photos; by default 64 are drawn, JPEGs of 500x375.
    """
    with tempfile.TemporaryDirectory() as temporary:
        raw = raw_folder(Path(temporary), folder)
        files = [file for file in (raw / "photos").rglob("*") if file.is_file()]
        out = Path(temporary, "plain")
        out.mkdir()

        def plain() -> int:
            for file in files:
                save_plainly(file, out)
            return len(files)

        def plain_in(pool: Pool) -> int:
            pool.starmap(save_plainly, [(file, out) for file in files])
            return len(files)

        def cached(workers: int | None) -> int:
            build(raw, Path(temporary, "cache"), "exact", workers)
            return len(files)

        with one_core():
            one = side_by_side({"plain": plain, "cache": lambda: cached(1)})
        with multiprocessing.get_context("spawn").Pool() as pool:
            every = side_by_side({"plain": lambda: plain_in(pool), "cache": lambda: cached(None)})
    return {
        "name": "caching",
        "photos": len(files),
        "size": SIZE,
        "photos_per_s": {"one core": one["photos_per_s"], "all cores": every["photos_per_s"]},
        "ratios": {"one core": one["ratios"]["cache"], "all cores": every["ratios"]["cache"]},
        "goal": {"one core": 2.0},
    }


def save_plainly(file: Path, out: Path) -> None:
    """The plain way: one float32 Lab array a photo."""
    np.save(out / f"{file.stem}.npy", open_plainly(file))


def open_plainly(file: Path) -> np.ndarray:
    """(H, W, 3) float32 Lab, the usual way (such as pytorch-CycleGAN-and-pix2pix, data/colorization_dataset.py)."""
    with Image.open(file) as image:
        rgb = np.array(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    return rgb2lab(rgb).astype(np.float32)


def build(raw: Path, out: Path, precision: Any, workers: int | None = None) -> None:
    """The Lab cache of `raw_folder`'s photos."""
    config = Preprocess(image_size=SIZE, fit="squash", precision=precision)
    build_cache(raw, raw / "manifest.csv", config, MAX_PIXELS, out, workers)


def raw_folder(temporary: Path, folder: Path | None) -> Path:
    """Photos and manifest as the stages `download` and `filter` leave them; of a `folder`, evenly spaced ones."""
    raw = temporary / "raw"
    (raw / "photos").mkdir(parents=True)
    if folder is None:
        _draw(raw / "photos")
    else:
        found = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and _is_readable(file))
        for i, file in enumerate(found[:: max(1, len(found) // PHOTOS)][:PHOTOS]):
            (raw / "photos" / f"{i}{file.suffix}").symlink_to(file.resolve())
    rows = [(file.name, "", "train", sha256_of(file)) for file in sorted((raw / "photos").iterdir())]
    write_table(raw / "manifest.csv", ("path", "class", "split", "sha256"), rows)
    return raw


def side_by_side(ways: dict[str, Callable[[], int]]) -> dict[str, dict[str, float]]:
    """Photos/s of each way, and how many times that is the first's; medians of rounds in which each has its turn.

    Args:
        ways: each does its work and tells how many photos it did.
    """
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(ROUNDS + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            photos = way()
            if round_:  # the first one imports, allocates and fills the system's caches
                speeds[name].append(photos / (time.perf_counter() - start))
    first, *others = ways
    ratios = {name: statistics.median(map(truediv, speeds[name], speeds[first])) for name in others}
    return {
        "photos_per_s": {name: round(statistics.median(values), 1) for name, values in speeds.items()},
        "ratios": {name: round(ratio, 2) for name, ratio in ratios.items()},
    }


@contextmanager
def one_core() -> Iterator[None]:
    """Whatever threads a library starts, they share one core."""
    cores, threads = os.sched_getaffinity(0), torch.get_num_threads()
    torch.set_num_threads(1)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        torch.set_num_threads(threads)


def _draw(folder: Path) -> None:
    """Smooth colored noise with a little grain: JPEGs of about the size of real ones."""
    rng = np.random.default_rng(1)
    for i in range(PHOTOS):
        image = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize(
            (500, 375), Image.Resampling.BICUBIC
        )
        grain = rng.normal(0, 6, (375, 500, 1))
        Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8)).save(folder / f"{i}.jpg", quality=90)


def _is_readable(file: Path) -> bool:
    try:
        read_rgb(file, MAX_PIXELS)
    except UnreadablePhoto:
        return False
    return True
