"""A colorizer measured on a lab's test split."""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor
from torch.nn import functional as F

from tintype.config import Evaluate
from tintype.data.cache import LabCache
from tintype.devices import default_device
from tintype.features import load_features
from tintype.metrics import Colorize, evaluate
from tintype.models import load_generator


def trained(model: Path) -> Colorize:
    """The colorizer in a folder of weights."""
    generator, card = load_generator(model, device=default_device())

    def colorize(lightness: Tensor) -> Tensor:
        size = lightness.shape[-2:]
        if size == (card.image_size, card.image_size):
            return generator(lightness).chroma
        # A champion trained at another size, as `Colorizer` would show this lab's photos.
        small = F.interpolate(lightness, (card.image_size, card.image_size), mode="bilinear", antialias=True)
        return F.interpolate(generator(small).chroma, size, mode="bicubic")

    return colorize


def measure(
    colorize: Colorize,
    cache: LabCache,
    features: Path,
    config: Evaluate,
    metrics: Path | None = None,
    samples: Path | None = None,
) -> dict[str, float]:
    """All metrics on the test split, also written to `metrics` (flat JSON) and `samples` (PNG grid) where given."""
    device = default_device()
    network = load_features(features, device)
    results = evaluate(colorize, cache.split("test"), network, config, device, grid=samples)
    if metrics is not None:
        metrics.parent.mkdir(parents=True, exist_ok=True)
        metrics.write_text(json.dumps(results, indent=2) + "\n")
    return results
