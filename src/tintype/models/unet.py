"""The U-Net of pix2pix, optionally with a class branch, self-attention, or color classification."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from tintype.color.bins import BINS
from tintype.color.spaces import SPACES, ColorSpace
from tintype.config import Generator
from tintype.models.attention import SelfAttention
from tintype.models.blocks import DownBlock, UpBlock, bounded, init_pix2pix, padded
from tintype.models.class_branch import ClassBranch
from tintype.models.color_bins import DecodeBins
from tintype.models.prediction import Prediction


class UNet(nn.Module):
    """Predicts chroma from lightness: (B, 1, H, W) -> `Prediction`. H and W are padded to multiples of ``2**depth``.

    Source: arXiv:1611.07004, section 6.1. The class branch shares the first three encoder blocks. Its features of the
    whole photo join the bottleneck (the idea of Iizuka et al. 2016, doi:10.1145/2897824.2925974). Self-attention is
    applied where the decoder's grid is an eighth of the photo. Color bins are classified at a quarter of the photo's
    size.

    Args:
        config: width, depth, dropout, space and head.
        classes: number of classes. 0 means no class branch.
        image_size: side of the training photos, pixels. Once trained, other sizes work, too.
    """

    def __init__(self, config: Generator, classes: int, image_size: int) -> None:
        super().__init__()
        f, depth = config.filters, config.depth
        widths = [f * min(2**i, 8) for i in range(depth)]
        self.stride = 2**depth
        self.encoder = nn.ModuleList(
            DownBlock(c_in, c_out, norm=i > 0) for i, (c_in, c_out) in enumerate(pairwise([1, *widths]))
        )
        side = -(-image_size // self.stride) * self.stride // 8
        self.class_branch = ClassBranch(widths[2], f, classes, side, config.dropout) if classes else None
        fused = 8 * f if classes else 0
        classification = config.head == "classification"
        self.decoder = nn.ModuleList(
            # every block but the first also takes the skip that was concatenated to its input
            UpBlock(c_in + (c_in if i else fused), c_out, dropout=config.dropout if i < 3 else 0.0)
            for i, (c_in, c_out) in enumerate(pairwise(reversed(widths[1:] if classification else widths)))
        )
        self.attention = SelfAttention(2 * widths[2]) if config.attention else None
        self.to_bins = nn.Conv2d(2 * widths[1], BINS, 1) if classification else None
        self.to_chroma = DecodeBins(config.temperature) if classification else _to_chroma(2 * f, SPACES[config.space])
        self.apply(init_pix2pix)

    def forward(self, lightness: Tensor) -> Prediction:
        """Predict chroma and, with a class branch, the photo's class."""
        height, width = lightness.shape[-2:]
        x, skips = padded(lightness, self.stride), []
        for down in self.encoder:
            x = down(x)
            skips.append(x)
        class_logits = bin_logits = None
        if self.class_branch is not None:
            fused, class_logits = self.class_branch(skips[2])
            x = torch.cat([x, fused[:, :, None, None].expand(-1, -1, *x.shape[2:])], dim=1)
        for level, up in zip(range(len(skips) - 2, -1, -1), self.decoder, strict=False):
            x = torch.cat([up(x), skips[level]], dim=1)
            if self.attention is not None and level == 2:
                x = self.attention(x)
        if self.to_bins is not None:
            x = self.to_bins(x)
            bin_logits = x[..., : -(-height // 4), : -(-width // 4)]
        chroma = self.to_chroma(x)
        return Prediction(chroma[..., :height, :width], class_logits, bin_logits)


def _to_chroma(c_in: int, space: ColorSpace) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(c_in, space.planes, 4, 2, padding=1), bounded(space))
