"""The discriminator of Projected GANs, which judges a photo by its features in a frozen ImageNet network."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tintype.color.spaces import ColorSpace
from tintype.config import Discriminator
from tintype.features.backbones import Backbone, imagenet_weights
from tintype.models.blocks import padded

NETWORK = "tf_efficientnet_lite1"
"""The paper's choice, too. The metrics use another network, EfficientNet-Lite2."""
LEVELS = 4
"""Number of levels used: the features at 1/4, 1/8, 1/16 and 1/32 of the photo's size."""


class ProjectedDiscriminator(nn.Module):
    """(lightness (B, 1, H, W), chroma (B, planes, H, W)) -> logits (B, 4, H/4, W/4), one per level and position.

    The backbone is frozen. So are the random convolutions that mix its channels and, from coarse to fine, its levels.
    Only a small convolutional network per level learns. A level has one logit per position. They are repeated up to the
    finest level's size, so that all levels have equal weight in a mean.

    Source: Sauer et al. 2021, arXiv:2111.01007, section 3.

    Args:
        config: ``filters`` is the width of the mixed features.
        space: space in which it sees photos.

    Raises:
        UserError: the ImageNet weights are not available.
    """

    def __init__(self, config: Discriminator, space: ColorSpace) -> None:
        super().__init__()
        self.space = space
        self.backbone = Backbone(NETWORK, imagenet_weights(NETWORK, "discriminator.architecture")).eval()
        channels, width = self.backbone.channels[-LEVELS:], config.filters
        self.mix_channels = nn.ModuleList(nn.Conv2d(c, width, 1, bias=False) for c in channels)
        self.mix_levels = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in channels)
        for convolution in (*self.mix_channels, *self.mix_levels):
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="linear")
        for frozen in (self.backbone, self.mix_channels, self.mix_levels):
            frozen.requires_grad_(False)
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, width, 3, padding=1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(width, width, 3, padding=1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(width, 1, 1),
            )
            for _ in channels
        )

    def train(self, mode: bool = True) -> ProjectedDiscriminator:
        """Set the training mode of everything but the backbone, which keeps its running means."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, lightness: Tensor, chroma: Tensor) -> Tensor:
        """Judge each position."""
        rgb = padded(self.space.to_rgb(lightness, chroma.to(lightness)), self.backbone.reductions[-1])
        levels = self.backbone(rgb.contiguous(memory_format=torch.channels_last))[-LEVELS:]
        logits = []
        mixed: Tensor | None = None
        for level, of_level, of_channels, head in zip(
            *(reversed(list(each)) for each in (levels, self.mix_levels, self.mix_channels, self.heads)), strict=True
        ):
            x = of_channels(_normalized(level))
            if mixed is not None:
                x = (x + F.interpolate(mixed, x.shape[-2:], mode="bilinear")) / 2**0.5
            mixed = of_level(x)
            logits.append(head(mixed))
        finest = logits[-1].shape[-2:]
        return torch.cat([F.interpolate(each, finest) for each in logits], dim=1)


def _normalized(level: Tensor) -> Tensor:
    """Scale each position's channels to a mean square of 1, so that all levels have equal weight in the mixing."""
    return F.normalize(level, dim=1) * level.shape[1] ** 0.5
