"""The dataset `sample`: procedural, photo-like scenes in eight classes, drawn from a seed alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from tintype.data.sample.oddities import ODDITIES, save
from tintype.data.sample.scenes import SCENES, draw_scene

__all__ = ["ODDITIES", "PHOTOS", "SCENES", "draw_sample", "draw_scene"]

PHOTOS = 1440  # 180 per class


def draw_sample(out: Path, seed: int = 1, photos: int = PHOTOS) -> None:
    """Write photos as ``out/<class>/<number>.(jpg|png)``, the classes in turn, and the oddities among them.

    Each oddity appears once per 480 photos, and at least once. A photo depends on the seed and on its number, not on
    how many photos there are. With the same versions of numpy, scipy and Pillow, the same seed gives the same bytes on
    any CPU: scenes are painted in float64, whose last bits differ between CPUs but hardly ever decide a level.
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
            twin = oddity.fate == "duplicate"  # copies one of the first photos into another class
            folder = out / classes[(copy + 1 if twin else number) % len(classes)]
            oddity.save(draw(copy if twin else number), folder / f"{name}_{copy}{oddity.suffix}")
