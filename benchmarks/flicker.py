"""How colors flicker in a video, as the network gives them frame by frame, and as they are written.

The value is the warping error of Lai et al. 2018 (arXiv:1808.00449), of chroma: how far the color of a
place is from the color it had a frame before, the mean of the distances in the ab plane, Lab units. Their motion is
estimated; here a camera moves over a photo by whole pixels, so that it is known, and nothing is hidden.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from PIL import Image
from skimage import data

from benchmarks.trained import trained_generator
from tintype.inference.colorizer import Colorizer
from tintype.video.flicker import SteadyChroma

PHOTOS = ("coffee", "astronaut", "chelsea")
HEIGHT, WIDTH = 256, 320
RATE = 24
FRAMES = 36
CLIPS = {
    "still, film grain": (0, 12.0, 0.0),
    "pan": (4, 0.0, 0.0),
    "pan, film grain, pumping exposure": (4, 12.0, 0.05),
}
"""Pixels a frame to the side; standard deviations of noise in levels of 255, and of each frame's exposure."""


def run() -> dict[str, Any]:
    """Of real photos (scikit-image's), by a generator of the default project; means over photos and frames."""
    colorizer = Colorizer.load(trained_generator(), device="cpu")
    before, after = {}, {}
    for name, clip in CLIPS.items():
        errors = np.mean([_errors(colorizer, photo, *clip) for photo in PHOTOS], axis=0)
        before[name], after[name] = (round(float(error), 2) for error in errors)
    return {
        "name": "flicker",
        "row": trained_generator().name,
        "warping_error": {"frame by frame": before, "held still": after},
        "ratios": {name: round(after[name] / before[name], 2) for name in CLIPS},
        "goal": dict.fromkeys(CLIPS, 0.5),
    }


def _errors(colorizer: Colorizer, photo: str, step: int, grain: float, pumping: float) -> tuple[float, float]:
    """The warping error of a clip as the network answers, and held still; Lab units."""
    steady, raw, held = SteadyChroma(), [], []
    for n, frame in enumerate(_clip(photo, step, grain, pumping)):
        prepared = colorizer.prepare(frame)
        raw.append(colorizer.predict([prepared])[0])
        held.append(steady(prepared.lightness, raw[-1], n / RATE))
    return _warping_error(raw, step), _warping_error(held, step)


def _clip(photo: str, step: int, grain: float, pumping: float) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(0)
    wide = (WIDTH + step * FRAMES, HEIGHT)
    gray = np.asarray(Image.fromarray(getattr(data, photo)()).convert("L").resize(wide), np.float32)
    for n in range(FRAMES):
        seen = gray[:, n * step : n * step + WIDTH] * (1 + pumping * rng.normal())
        yield (seen + rng.normal(0, grain, seen.shape)).clip(0, 255).astype(np.uint8)


def _warping_error(chroma: list[np.ndarray], step: int) -> float:
    """At the frame's own size, where the step is of whole pixels."""
    frames = [_enlarged(ab) for ab in chroma]
    moved = (now[:, :, : WIDTH - step] - before[:, :, step:] for before, now in pairwise(frames))
    return float(np.mean([np.hypot(*difference).mean() for difference in moved]))


def _enlarged(ab: np.ndarray) -> np.ndarray:
    planes = (Image.fromarray(plane).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC) for plane in ab)
    return np.stack([np.asarray(plane) for plane in planes])
