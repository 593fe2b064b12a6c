"""What every generator puts out."""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from tintype.color.spaces import ColorSpace


class Prediction(NamedTuple):
    """What a generator makes of lightness (B, 1, H, W)."""

    chroma: Tensor
    """(B, planes, H, W), network units of the generator's space (see `tintype.color.SPACES`)."""
    class_logits: Tensor | None = None
    """(B, classes), or None without a class branch."""
    bin_logits: Tensor | None = None
    """(B, Q, H/4, W/4), rounded up, over the bins of `tintype.color.bins`; or None where chroma is not classified."""


def chroma_seen_at(generator: nn.Module, space: ColorSpace, lightness: Tensor, side: int) -> Tensor:
    """The chroma of square photos, of which the generator sees versions of another size.

    Args:
        generator: works in `space`.
        space: of lightness and chroma.
        lightness: (B, 1, H, H), network units.
        side: of what the generator sees, pixels.

    Returns:
        (B, planes, H, H), network units.
    """
    if lightness.shape[-1] == side:
        return generator(lightness).chroma
    small = F.interpolate(lightness, (side, side), mode="bilinear", antialias=True)
    return space.enlarged(small, generator(small).chroma, lightness)
