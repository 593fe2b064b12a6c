"""A colorizer measured on a project's test split."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from tintype.color.spaces import SPACES
from tintype.config import Evaluate
from tintype.data.cache import LabCache
from tintype.devices import default_device
from tintype.features import load_features, load_torchvision_inception
from tintype.features.reference import load_truth
from tintype.metrics.evaluation import Classify, Colorize, evaluate
from tintype.models import load_generator
from tintype.models.prediction import chroma_seen_at


class Measured(NamedTuple):
    """What is measured, and in which space of `tintype.color.SPACES` it works."""

    colorize: Colorize
    space: str = "lab"
    classify: Classify | None = None
    """Of a generator with a class branch."""
    classes: Sequence[str] = ()
    """Names of the class logits."""


def trained(model: Path) -> Measured:
    """The colorizer in a folder of weights."""
    generator, card = load_generator(model, device=default_device())
    space = SPACES[card.generator.space]

    def colorize(lightness: Tensor) -> Tensor:
        return chroma_seen_at(generator, space, lightness, card.image_size)

    def classify(lightness: Tensor) -> Tensor:
        logits: Tensor = generator(lightness).class_logits
        return logits

    return Measured(colorize, card.generator.space, classify if card.classes else None, card.classes)


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
    # A champion of other photos has other classes.
    same_classes = list(measured.classes) == cache.classes
    results = evaluate(
        measured.colorize,
        cache.split("test"),
        load_features(features, device),
        config,
        device,
        grid=samples,
        space=measured.space,
        torchvision=load_torchvision_inception(features, device),
        classify=measured.classify if same_classes else None,
        truth=load_truth(features),
    )
    if metrics is not None:
        metrics.parent.mkdir(parents=True, exist_ok=True)
        metrics.write_text(json.dumps(results, indent=2) + "\n")
    return results
