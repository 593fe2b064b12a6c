"""A colorizer measured on a lab's test split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from tintype.color import SPACES, rgb_to_lab
from tintype.config import Evaluate
from tintype.data.cache import LabCache
from tintype.devices import default_device
from tintype.features import load_features, load_torchvision_inception
from tintype.metrics import Colorize, evaluate
from tintype.models import load_generator


class Measured(NamedTuple):
    """What is measured, and in which space of `tintype.color.SPACES` it works."""

    colorize: Colorize
    space: str = "lab"


def trained(model: Path) -> Measured:
    """The colorizer in a folder of weights."""
    generator, card = load_generator(model, device=default_device())
    space = SPACES[card.generator.space]

    def colorize(lightness: Tensor) -> Tensor:
        size = lightness.shape[-2:]
        if size == (card.image_size, card.image_size):
            return generator(lightness).chroma
        # A champion trained at another size: its ab are enlarged, as `Colorizer` does, and joined to the photo's own L.
        # A hue must not be, between red and red lies every colour; and RGB would lose the photo's sharpness.
        small = F.interpolate(lightness, (card.image_size, card.image_size), mode="bilinear", antialias=True)
        chroma = generator(small).chroma
        if space is SPACES["lab"]:
            return F.interpolate(chroma, size, mode="bicubic")
        ab = F.interpolate(rgb_to_lab(space.to_rgb(small, chroma))[:, 1:], size, mode="bicubic")
        gray = lightness.expand(-1, 3, -1, -1)  # luma and value are a gray photo as they are
        return space.split(torch.cat([rgb_to_lab(gray)[:, :1], ab], dim=1))[1]

    return Measured(colorize, card.generator.space)


def measure(
    measured: Measured,
    cache: LabCache,
    features: Path,
    config: Evaluate,
    metrics: Path | None = None,
    samples: Path | None = None,
) -> dict[str, float]:
    """All metrics on the test split, also written to `metrics` (flat JSON) and `samples` (PNG grid) where given."""
    device = default_device()
    results = evaluate(
        measured.colorize,
        cache.split("test"),
        load_features(features, device),
        config,
        device,
        grid=samples,
        space=measured.space,
        torchvision=load_torchvision_inception(features, device),
    )
    if metrics is not None:
        metrics.parent.mkdir(parents=True, exist_ok=True)
        metrics.write_text(json.dumps(results, indent=2) + "\n")
    return results
