"""What every generator puts out."""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from tintype.color.spaces import ColorSpace


class Prediction(NamedTuple):
    """What a generator makes of lightness (B, 1, H, W)."""

    chroma: Tensor
    """(B, planes, H, W), network units of the generator's space (see `tintype.color.spaces.SPACES`)."""
    class_logits: Tensor | None = None
    """(B, classes), or None without a class branch."""
    bin_logits: Tensor | None = None
    """(B, Q, H/4, W/4), rounded up, over the bins of `tintype.color.bins`; or None where chroma is not classified."""


def predict_at(generator: nn.Module, space: ColorSpace, lightness: Tensor, side: int) -> Prediction:
    """The prediction for square photos, of which the generator sees versions of another size.

    Args:
        generator: works in `space`.
        space: of lightness and chroma.
        lightness: (B, 1, H, H), network units.
        side: of what the generator sees, pixels.

    Returns:
        Its chroma is (B, planes, H, H); logits are those of what the generator saw.
    """
    if lightness.shape[-1] == side:
        prediction: Prediction = generator(lightness)
        return prediction
    small = F.interpolate(lightness, (side, side), mode="bilinear", antialias=True)
    seen: Prediction = generator(small)
    return seen._replace(chroma=space.enlarged(small, seen.chroma, lightness))
