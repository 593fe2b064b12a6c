"""What every generator puts out."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Prediction(NamedTuple):
    """What a generator makes of lightness (B, 1, H, W)."""

    chroma: Tensor
    """(B, planes, H, W), network units of the generator's space (see `tintype.color.SPACES`)."""
    class_logits: Tensor | None = None
    """(B, classes), or None without a class branch."""
    bin_logits: Tensor | None = None
    """(B, Q, H/4, W/4), rounded up, over the bins of `tintype.color.bins`; or None where chroma is not classified."""
