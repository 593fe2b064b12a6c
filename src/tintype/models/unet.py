"""The U-Net of pix2pix, with the class branch of the places205 table."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tintype.config import ConfigError, Generator
from tintype.models.blocks import DownBlock, UpBlock


class Prediction(NamedTuple):
    """What a generator makes of lightness."""

    chroma: Tensor
    """(B, 2, H, W), ab in network units, in [-1, 1]."""
    class_logits: Tensor | None
    """(B, classes), or None without a class branch."""


class UNet(nn.Module):
    """Lightness to chroma: (B, 1, H, W) in [-1, 1] -> `Prediction`; H and W multiples of ``2**depth``.

    Source: arXiv:1611.07004, section 6.1. The class branch shares the first three encoder blocks, and what it sees of
    the whole photo joins the bottleneck (the idea of Iizuka et al. 2016, doi:10.1145/2897824.2925974).

    Args:
        config: width, depth and dropout.
        classes: 0 for no class branch.
        image_size: side of the training photos, pixels; other sizes work too once it is trained.

    Raises:
        ConfigError: `image_size` cannot be halved ``depth`` times.
    """

    def __init__(self, config: Generator, classes: int, image_size: int) -> None:
        super().__init__()
        _check_halving(config.depth, image_size)
        f = config.filters
        widths = [f * min(2**i, 8) for i in range(config.depth)]
        self.encoder = nn.ModuleList(
            DownBlock(c_in, c_out, norm=i > 0) for i, (c_in, c_out) in enumerate(pairwise([1, *widths]))
        )
        self.class_branch = ClassBranch(widths[2], f, classes, image_size // 8, config.dropout) if classes else None
        fused = 8 * f if classes else 0
        self.decoder = nn.ModuleList(
            # every block but the first also takes the skip that was put beside its input
            UpBlock(c_in + (c_in if i else fused), c_out, dropout=config.dropout if i < 3 else 0.0)
            for i, (c_in, c_out) in enumerate(pairwise(reversed(widths)))
        )
        self.to_chroma = nn.Sequential(nn.ConvTranspose2d(2 * f, 2, 4, 2, padding=1), nn.Tanh())

    def forward(self, lightness: Tensor) -> Prediction:
        """Predict chroma, and the photo's class where there is a branch for it."""
        x, skips = lightness, []
        for down in self.encoder:
            x = down(x)
            skips.append(x)
        class_logits = None
        if self.class_branch is not None:
            fused, class_logits = self.class_branch(skips[2])
            x = torch.cat([x, fused[:, :, None, None].expand(-1, -1, *x.shape[2:])], dim=1)
        for up, skip in zip(self.decoder, reversed(skips[:-1]), strict=True):
            x = torch.cat([up(x), skip], dim=1)
        return Prediction(self.to_chroma(x), class_logits)


class ClassBranch(nn.Module):
    """The third encoder block's output (B, c_in, H, W) -> what it tells the decoder (B, 8f), class logits (B, classes).

    Three more encoder blocks (fewer where the grid is 1x1 before that), flattened. A grid of another size than in
    training is averaged to that size first.

    Args:
        c_in: channels of the input.
        filters: f, of the generator's first block.
        classes: at least 1.
        side: of the input's grid in training, H = W.
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
        """Look at the whole photo."""
        x = F.adaptive_avg_pool2d(self.blocks(x), self.side).flatten(1)
        return self.fusion(x), self.head(x)


def _check_halving(depth: int, image_size: int) -> None:
    if image_size % 2**depth == 0:
        return
    deepest = (image_size & -image_size).bit_length() - 1  # how often the size can be halved
    depths = f"a generator.depth from 3 to {deepest} or " if deepest >= 3 else ""
    raise ConfigError(
        f"generator.depth = {depth} with preprocess.image_size = {image_size}: each of the {depth} encoder blocks "
        f"halves the size; allowed: {depths}an image_size that is a multiple of {2**depth}"
    )
