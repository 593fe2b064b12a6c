"""The discriminator that judges a whole photo."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tintype.config import Discriminator
from tintype.models.blocks import init_pix2pix
from tintype.models.patch import patch_blocks, patch_widths

SIDE = 4
"""Largest side of the grid that is flattened."""


class DenseDiscriminator(nn.Module):
    """(lightness (B, 1, H, W), chroma (B, planes - 1, H, W)) -> logits (B, 1, 1, 1), real or fake.

    It uses the blocks of `PatchGAN`, average-pools them to a small grid, flattens it, and applies two dense layers.
    These are narrow because the flowers102 table's report counts about as many parameters as with `PatchGAN`.

    Args:
        config: width, layers and norm.
        planes: of lightness and chroma together.
        image_size: side of the training photos, pixels. Other sizes work, too.
    """

    def __init__(self, config: Discriminator, planes: int, image_size: int) -> None:
        super().__init__()
        widths = patch_widths(config)
        side = min(SIDE, (image_size >> config.layers) - 1)
        self.blocks = nn.Sequential(*patch_blocks(config, planes), nn.AdaptiveAvgPool2d(side), nn.Flatten())
        self.dense = nn.Sequential(
            nn.Linear(widths[-1] * side**2, config.filters), nn.LeakyReLU(0.2), nn.Linear(config.filters, 1)
        )
        self.apply(init_pix2pix)

    def forward(self, lightness: Tensor, chroma: Tensor) -> Tensor:
        """Judge each photo."""
        return self.dense(self.blocks(torch.cat([lightness, chroma], dim=1)))[..., None, None]
