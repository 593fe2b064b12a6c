"""The U-Net of double convolutions, and the autoencoder, which is the same network without skips."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from tintype.color.spaces import SPACES
from tintype.config import Generator
from tintype.models.blocks import bounded, init_he, padded
from tintype.models.prediction import Prediction


class DoubleConv(nn.Sequential):
    """Two 3x3 convolutions, each with a leaky ReLU, then dropout: (B, c_in, H, W) -> (B, c_out, H, W)."""

    def __init__(self, c_in: int, c_out: int, *, dropout: float = 0.0) -> None:
        layers: list[nn.Module] = []
        for c in (c_in, c_out):
            layers += [nn.Conv2d(c, c_out, 3, padding=1), nn.LeakyReLU(0.2)]
        super().__init__(*layers, *([nn.Dropout(dropout)] if dropout else []))


class Scaling(nn.Sequential):
    """Batch norm, then half or double the size: (B, c_in, H, W) -> (B, c_out, H/2, W/2) or (B, c_out, 2H, 2W)."""

    def __init__(self, c_in: int, c_out: int, *, up: bool, norm: bool) -> None:
        convolution = (nn.ConvTranspose2d if up else nn.Conv2d)(c_in, c_out, 4, 2, padding=1)
        super().__init__(*([nn.BatchNorm2d(c_in)] if norm else []), convolution, nn.LeakyReLU(0.2))


class DoubleConvNet(nn.Module):
    """(B, c_in, H, W) -> (B, c_out, H, W), unbounded. H and W are padded to multiples of ``2**depth``.

    Separate scaling blocks connect levels of double convolutions, as drawn in the flowers102 table's report. Batch norm
    before each scaling and dropout near the input come from the imagenet4k table.

    Args:
        c_in: planes of the input.
        c_out: planes of the output.
        filters: of the first level. Level i has ``filters * min(2**i, 8)``.
        depth: how often the size is halved.
        dropout: of the encoder's first two levels.
        norm: whether to use batch norm.
        skips: whether each decoder level also sees the encoder level of its size.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        *,
        filters: int,
        depth: int,
        dropout: float = 0.0,
        norm: bool = True,
        skips: bool = True,
    ) -> None:
        super().__init__()
        widths = [filters * min(2**i, 8) for i in range(depth + 1)]
        self.stride, self.skips = 2**depth, skips
        self.encoder = nn.ModuleList(
            DoubleConv(*pair, dropout=dropout if i < 2 else 0.0)
            for i, pair in enumerate(pairwise([c_in, *widths[:-1]]))
        )
        self.down = nn.ModuleList(Scaling(c, c, up=False, norm=norm) for c in widths[:-1])
        self.bottom = DoubleConv(*widths[-2:])
        self.up = nn.ModuleList(Scaling(*pair, up=True, norm=norm) for pair in pairwise(reversed(widths)))
        self.decoder = nn.ModuleList(DoubleConv(2 * c if skips else c, c) for c in reversed(widths[:-1]))
        self.last = nn.Conv2d(filters, c_out, 1)
        self.apply(init_he)

    def forward(self, x: Tensor) -> Tensor:
        """Encode, then decode."""
        height, width = x.shape[-2:]
        x, seen = padded(x, self.stride), []
        for level, down in zip(self.encoder, self.down, strict=True):
            x = level(x)
            seen.append(x)
            x = down(x)
        x = self.bottom(x)
        for up, level, skip in zip(self.up, self.decoder, reversed(seen), strict=True):
            x = up(x)
            x = level(torch.cat([x, skip], dim=1) if self.skips else x)
        return self.last(x)[..., :height, :width]


class DoubleConvGenerator(nn.Module):
    """Predicts chroma from lightness: (B, 1, H, W) -> `Prediction`.

    Args:
        config: width, depth, dropout and space.
        skips: False for the autoencoder.
    """

    def __init__(self, config: Generator, *, skips: bool) -> None:
        super().__init__()
        space = SPACES[config.space]
        self.net = DoubleConvNet(
            1, space.planes, filters=config.filters, depth=config.depth, dropout=config.dropout, skips=skips
        )
        self.bound = bounded(space)

    def forward(self, lightness: Tensor) -> Prediction:
        """Predict chroma."""
        return Prediction(self.bound(self.net(lightness)))
