"""The class branch of the places205 table."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from tintype.models.blocks import DownBlock


class ClassBranch(nn.Module):
    """The class branch of a generator, on the third encoder block's output (B, c_in, H, W).

    It returns features for the decoder (B, 8f) and class logits (B, classes). It has three more encoder blocks (fewer
    if the grid is 1x1 before that), whose output is flattened. If the grid has another size than in training, it is
    average-pooled to that size first.

    Args:
        c_in: channels of the input.
        filters: f, filters of the generator's first block.
        classes: at least 1.
        side: side of the input's grid in training, H = W.
        dropout: of the class head.
    """

    def __init__(self, c_in: int, filters: int, classes: int, side: int, dropout: float) -> None:
        super().__init__()
        f = filters
        widths = [c_in] + [8 * f] * min(3, side.bit_length() - 1)
        self.blocks = nn.Sequential(*(DownBlock(*pair) for pair in pairwise(widths)))
        self.side = side >> (len(widths) - 1)
        flat = widths[-1] * self.side**2
        self.fusion = nn.Sequential(
            nn.Linear(flat, 16 * f), nn.LeakyReLU(0.2), nn.Linear(16 * f, 8 * f), nn.LeakyReLU(0.2)
        )
        self.head = nn.Sequential(
            *(nn.Linear(flat, 32 * f), nn.ReLU(), nn.Dropout(dropout)),
            *(nn.Linear(32 * f, 16 * f), nn.ReLU(), nn.Dropout(dropout)),
            nn.Linear(16 * f, classes),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features for the decoder and the class logits."""
        x = F.adaptive_avg_pool2d(self.blocks(x), self.side).flatten(1)
        return self.fusion(x), self.head(x)
