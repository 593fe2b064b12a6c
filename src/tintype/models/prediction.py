"""The output of every generator."""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from tintype.color.spaces import ColorSpace


class Prediction(NamedTuple):
    """A generator's output for lightness (B, 1, H, W)."""

    chroma: Tensor
    """(B, planes, H, W), in network units of the generator's space (see `tintype.color.spaces.SPACES`)."""
    class_logits: Tensor | None = None
    """(B, classes), or None without a class branch."""
    bin_logits: Tensor | None = None
    """(B, Q, H/4, W/4), rounded up, over the bins of `tintype.color.bins`, or None if chroma is not classified."""


def predict_at(generator: nn.Module, space: ColorSpace, lightness: Tensor, side: int) -> Prediction:
    """Predict the chroma of square photos, of which the generator sees versions of another size.

    Args:
        generator: works in `space`.
        space: of lightness and chroma.
        lightness: (B, 1, H, H), network units.
        side: side of the photos that the generator sees, pixels.

    Returns:
        A prediction with chroma (B, planes, H, H). Its logits are those for the photos that the generator saw.
    """
    if lightness.shape[-1] == side:
        prediction: Prediction = generator(lightness)
        return prediction
    small = F.interpolate(lightness, (side, side), mode="bilinear", antialias=True)
    seen: Prediction = generator(small)
    return seen._replace(chroma=space.enlarged(small, seen.chroma, lightness))
