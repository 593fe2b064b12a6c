"""Colour by classification: from a distribution over bins of ab in each pixel to chroma."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from tintype.color import AB_MAX
from tintype.color.bins import annealed_mean


class DecodeBins(nn.Module):
    """Bin logits (B, Q, h, w) -> chroma (B, 2, 4h, 4w), ab in network units; float32 under autocast too.

    Source: arXiv:1603.08511, section 2.3; the annealed mean is taken on the small grid and enlarged.
    """

    def forward(self, logits: Tensor) -> Tensor:
        """Decode, then enlarge."""
        return F.interpolate(annealed_mean(logits) / AB_MAX, scale_factor=4, mode="bilinear")
