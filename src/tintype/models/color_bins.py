"""Color by classification: from a distribution over bins of ab in each pixel to chroma."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from tintype.color.bins import annealed_mean
from tintype.color.lab import AB_MAX


class DecodeBins(nn.Module):
    """Bin logits (B, Q, h, w) -> ab in network units, (B, 2, scale * h, scale * w); float32 under autocast too.

    Source: arXiv:1603.08511, section 2.3; the annealed mean is taken on the small grid and enlarged.

    Args:
        temperature: of the annealed mean.
        scale: how many times larger the answer is.
    """

    def __init__(self, temperature: float, scale: int = 4) -> None:
        super().__init__()
        self.temperature, self.scale = temperature, scale

    def forward(self, logits: Tensor) -> Tensor:
        """Decode, then enlarge."""
        ab = annealed_mean(logits, self.temperature) / AB_MAX
        return ab if self.scale == 1 else F.interpolate(ab, scale_factor=self.scale, mode="bilinear")
