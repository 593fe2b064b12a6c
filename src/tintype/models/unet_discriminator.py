"""The discriminator that judges each pixel."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tintype.config import Discriminator
from tintype.models.double_conv import DoubleConvNet


class UNetDiscriminator(nn.Module):
    """(lightness (B, 1, H, W), chroma (B, planes - 1, H, W)) -> logits (B, 1, H, W), one per pixel, real or fake.

    A U-Net of double convolutions, like the generator of the flowers102 table.

    Args:
        config: width, layers and norm.
        planes: of lightness and chroma together.
    """

    def __init__(self, config: Discriminator, planes: int) -> None:
        super().__init__()
        self.net = DoubleConvNet(planes, 1, filters=config.filters, depth=config.layers, norm=config.norm == "batch")

    def forward(self, lightness: Tensor, chroma: Tensor) -> Tensor:
        """Judge each pixel."""
        return self.net(torch.cat([lightness, chroma], dim=1))
