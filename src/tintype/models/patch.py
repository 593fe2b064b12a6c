"""The PatchGAN discriminator of pix2pix."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from tintype.config import Discriminator
from tintype.models.blocks import DownBlock, init_pix2pix


class PatchGAN(nn.Module):
    """(lightness (B, 1, H, W), chroma (B, planes - 1, H, W)) -> logits (B, 1, h, w), one per patch, real or fake.

    With 3 layers, a logit sees 70x70 pixels, and 256x256 pixels give 30x30 logits. Source: arXiv:1611.07004, section
    6.1.2.

    Args:
        config: width, layers and norm.
        planes: of lightness and chroma together.
    """

    def __init__(self, config: Discriminator, planes: int) -> None:
        super().__init__()
        widths = patch_widths(config)
        self.blocks = nn.Sequential(*patch_blocks(config, planes), nn.Conv2d(widths[-1], 1, 4, padding=1))
        self.apply(init_pix2pix)

    def forward(self, lightness: Tensor, chroma: Tensor) -> Tensor:
        """Judge each patch."""
        return self.blocks(torch.cat([lightness, chroma], dim=1))


def patch_widths(config: Discriminator) -> list[int]:
    """Return the number of channels after each block."""
    return [config.filters * min(2**i, 8) for i in range(config.layers + 1)]


def patch_blocks(config: Discriminator, planes: int) -> list[DownBlock]:
    """Return all blocks before the logits: ``layers`` blocks that halve the size, and one of stride 1."""
    norm, widths = config.norm == "batch", patch_widths(config)
    return [
        DownBlock(planes, widths[0], norm=False),
        *(DownBlock(*pair, norm=norm) for pair in pairwise(widths[:-1])),
        DownBlock(*widths[-2:], stride=1, norm=norm),
    ]
