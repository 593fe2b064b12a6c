"""The dataset `sample`: procedural, photo-like scenes in eight classes, drawn from a seed alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from tintype.data.sample.oddities import ODDITIES, save
from tintype.data.sample.scenes import SCENES, draw_scene

__all__ = ["ODDITIES", "PHOTOS", "SCENES", "draw_sample", "draw_scene"]

PHOTOS = 1440  # 180 a class


def draw_sample(out: Path, seed: int = 1, photos: int = PHOTOS) -> None:
    """Write photos, classes by turns, as ``out/<class>/<number>.(jpg|png)``, and among them the oddities.

    Of each oddity there is one for every 480 photos, at least one. A photo depends on the seed and on its number, not
    on how many there are; the same seed gives the same bytes (with the same versions of numpy, scipy and Pillow), on
    any CPU: scenes are painted in float64, of which the last bits, where CPUs differ, hardly ever decide a level.
    """
    classes = list(SCENES)
    for name in classes:
        (out / name).mkdir(parents=True, exist_ok=True)

    def draw(number: int) -> Image.Image:
        return draw_scene(classes[number % len(classes)], np.random.SeedSequence(seed, spawn_key=(number,)))

    for number in tqdm(range(photos), desc="draw", unit="photo", disable=None):
        suffix = ".png" if number % 17 == 16 else ".jpg"
        save(draw(number), out / classes[number % len(classes)] / f"{number:04d}{suffix}")
    for copy in range(max(1, photos // 480)):
        for number, (name, oddity) in enumerate(ODDITIES.items(), photos + copy * len(ODDITIES)):
            twin = oddity.fate == "duplicate"  # of one of the first photos, filed under another class
            folder = out / classes[(copy + 1 if twin else number) % len(classes)]
            oddity.save(draw(copy if twin else number), folder / f"{name}_{copy}{oddity.suffix}")
