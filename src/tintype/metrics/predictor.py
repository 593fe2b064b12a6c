"""The object of an evaluation: a trained generator or a baseline, as a function from lightness to chroma."""

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
    """A predictor of the chroma of photos."""

    predict: Callable[[Tensor], Prediction]
    """Called with lightness (B, 1, H, W), in network units of the space. A generator is in eval mode."""
    space: str = "lab"
    """A name of `tintype.color.spaces.SPACES`."""
    classes: Sequence[str] = ()
    """Names of the class logits. () without a class branch."""


def load_predictor(model: Path, device: torch.device | str) -> Predictor:
    """Return a predictor with the generator saved in a folder."""
    generator, card = load_generator(model, device=device)
    space = SPACES[card.generator.space]

    def predict(lightness: Tensor) -> Prediction:
        return predict_at(generator, space, lightness, card.image_size)

    return Predictor(predict, card.generator.space, card.classes)
