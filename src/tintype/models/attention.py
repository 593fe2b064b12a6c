"""The self-attention layer of SAGAN."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """Self-attention over all pixels: (B, C, H, W) -> the same shape. It is the identity until `gamma` has learned.

    Time and memory grow with (H W)^2. The letters are those of the source. h has C/2 channels, as in the authors' code.
    Their max pooling of f and h is left out. Source: arXiv:1805.08318, section 3.

    Args:
        channels: C, at least 8.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.f = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.g = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.h = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.v = nn.Conv2d(channels // 2, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Attend from each pixel to the whole grid."""
        # one head, one token per pixel: (B, 1, H W, channels)
        query, key, value = (conv(x).flatten(2).transpose(1, 2)[:, None] for conv in (self.g, self.f, self.h))
        found = F.scaled_dot_product_attention(query, key, value, scale=1.0)  # SAGAN does not scale
        return x + self.gamma * self.v(found[:, 0].transpose(1, 2).unflatten(2, x.shape[2:]))
