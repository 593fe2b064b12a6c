"""Color by classification: decoding a distribution over ab bins per pixel into chroma."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from tintype.color.bins import annealed_mean
from tintype.color.lab import AB_MAX


class DecodeBins(nn.Module):
    """Decodes bin logits (B, Q, h, w) to ab in network units, (B, 2, scale * h, scale * w).

    The annealed mean is taken on the small grid and then enlarged. The result is float32, even under autocast. Source:
    arXiv:1603.08511, section 2.3.

    Args:
        temperature: of the annealed mean.
        scale: factor by which the output is larger.
    """

    def __init__(self, temperature: float, scale: int = 4) -> None:
        super().__init__()
        self.temperature, self.scale = temperature, scale

    def forward(self, logits: Tensor) -> Tensor:
        """Decode, then enlarge."""
        ab = annealed_mean(logits, self.temperature) / AB_MAX
        return ab if self.scale == 1 else F.interpolate(ab, scale_factor=self.scale, mode="bilinear")
