"""The PatchGAN discriminator of pix2pix."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from tintype.config import ConfigError, Discriminator
from tintype.models.blocks import DownBlock


class PatchGAN(nn.Module):
    """(lightness (B, 1, H, W), chroma (B, 2, H, W)) -> logits (B, 1, h, w), one a patch: real or made up.

    With 3 layers a logit sees 70x70 pixels, and 256x256 pixels make 30x30 logits.
    Source: arXiv:1611.07004, section 6.1.2.

    Raises:
        ConfigError: photos of side `image_size` are too small for so many layers.
    """

    def __init__(self, config: Discriminator, image_size: int) -> None:
        super().__init__()
        if (image_size >> config.layers) < 3:
            raise ConfigError(
                f"discriminator.layers = {config.layers} with preprocess.image_size = {image_size}: leaves no patch to "
                f"judge; allowed: at most {(image_size // 3).bit_length() - 1} layers, or an image_size from "
                f"{3 * 2**config.layers}"
            )
        norm = config.norm == "batch"
        widths = [config.filters * min(2**i, 8) for i in range(config.layers + 1)]
        self.blocks = nn.Sequential(
            DownBlock(3, widths[0], norm=False),
            *(DownBlock(*pair, norm=norm) for pair in pairwise(widths[:-1])),
            DownBlock(*widths[-2:], stride=1, norm=norm),
            nn.Conv2d(widths[-1], 1, 4, padding=1),
        )

    def forward(self, lightness: Tensor, chroma: Tensor) -> Tensor:
        """Judge each patch."""
        return self.blocks(torch.cat([lightness, chroma], dim=1))
