"""What is measured: a trained generator or a baseline, as a function from lightness to chroma."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from tintype.color.spaces import SPACES
from tintype.models import load_generator
from tintype.models.prediction import Prediction, predict_at


class Predictor(NamedTuple):
    """Predicts the chroma of photos."""

    predict: Callable[[Tensor], Prediction]
    """Of lightness (B, 1, H, W), network units of the space; in eval mode."""
    space: str = "lab"
    """Of `tintype.color.spaces.SPACES`."""
    classes: Sequence[str] = ()
    """Names of the class logits; () without a class branch."""


def load_predictor(model: Path, device: torch.device | str) -> Predictor:
    """The generator in a folder of weights."""
    generator, card = load_generator(model, device=device)
    space = SPACES[card.generator.space]

    def predict(lightness: Tensor) -> Prediction:
        return predict_at(generator, space, lightness, card.image_size)

    return Predictor(predict, card.generator.space, card.classes)
