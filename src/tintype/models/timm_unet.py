"""The U-Net with an encoder from timm and a light decoder. The encoder can start from ImageNet weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tintype.color.bins import BINS
from tintype.color.spaces import SPACES
from tintype.config import Generator
from tintype.features.backbones import Backbone, imagenet_weights
from tintype.models.blocks import bounded, init_he, padded
from tintype.models.color_bins import DecodeBins
from tintype.models.prediction import Prediction

STRIDE = 32
"""Downsampling factor of the encoder's last level."""


class TimmUNet(nn.Module):
    """Predicts chroma from lightness: (B, 1, H, W) -> `Prediction`. H and W are padded to multiples of 32.

    The encoder sees the gray photo as sRGB. Three decoder blocks with 4, 2 and 1 times ``filters`` channels lead from
    1/32 of the photo's size to 1/4, where chroma is predicted. The eye does not see chroma any finer, and the photo's
    own lightness carries the edges. The chroma is then enlarged to the photo's size.

    Args:
        config: encoder, filters, space, head and the mode of the encoder's batch norm.

    Raises:
        UserError: timm has no such encoder, or the encoder has no feature pyramid.
    """

    def __init__(self, config: Generator) -> None:
        super().__init__()
        self.space = SPACES[config.space]
        self.chroma_gain = config.chroma_gain
        self.frozen_norm = config.encoder_norm == "frozen"
        encoder = Backbone(config.encoder)
        deepest, *skips = encoder.channels[:-5:-1]
        widths = [4 * config.filters, 2 * config.filters, config.filters]
        self.decoder = nn.ModuleList(
            FuseBlock(c_in, c_skip, c_out)
            for c_in, c_skip, c_out in zip([deepest, *widths], skips, widths, strict=False)
        )
        self.to_bins = nn.Conv2d(widths[-1], BINS, 1) if config.head == "classification" else None
        self.to_chroma = (
            nn.Sequential(nn.Conv2d(widths[-1], self.space.planes, 1), bounded(self.space))
            if self.to_bins is None
            else DecodeBins(config.temperature, scale=1)
        )
        self.apply(init_he)
        self.encoder = encoder  # after `apply`, to keep timm's own initialization

    def train(self, mode: bool = True) -> TimmUNet:
        """Set the training mode. Frozen batch norm stays in eval mode and keeps its running means."""
        super().train(mode)
        if self.frozen_norm:
            for module in self.encoder.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(self, lightness: Tensor) -> Prediction:
        """Predict chroma."""
        height, width = lightness.shape[-2:]
        lightness = padded(lightness, STRIDE)
        *skips, x = self.encoder(self.space.gray(lightness))
        for block in self.decoder:
            x = block(x, skips.pop())
        small = F.avg_pool2d(lightness, 4)
        if self.to_bins is None:
            chroma = self.space.enlarged(small, self.to_chroma(x).float(), lightness)
            if not self.training:  # in training, the generator would learn to undo the gain
                chroma = self.chroma_gain * chroma
            chroma = chroma.clamp(-1 if self.space.signed else 0, 1)  # bicubic may overshoot
            return Prediction(chroma[..., :height, :width])
        bin_logits = self.to_bins(x)
        chroma = self.space.from_ab(
            lightness, F.interpolate(self.to_chroma(bin_logits), lightness.shape[-2:], mode="bicubic")
        )
        bin_logits = bin_logits[..., : -(-height // 4), : -(-width // 4)]
        return Prediction(chroma[..., :height, :width], bin_logits=bin_logits)


class FuseBlock(nn.Module):
    """Doubles the size and fuses the skip: (B, c_in, H, W), (B, c_skip, 2H, 2W) -> (B, c_out, 2H, 2W)."""

    def __init__(self, c_in: int, c_skip: int, c_out: int) -> None:
        super().__init__()
        self.fuse = nn.Sequential(
            nn.Conv2d(c_in + c_skip, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU()
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Enlarge and fuse."""
        return self.fuse(torch.cat([F.interpolate(x, scale_factor=2, mode="bilinear"), skip], dim=1))


def encoder_from_imagenet(generator: nn.Module) -> None:
    """Load ImageNet weights into a `TimmUNet`'s encoder, see `tintype.features.backbones.imagenet_weights`.

    Raises:
        UserError: the weights are not available.
    """
    assert isinstance(generator, TimmUNet)
    name = generator.encoder.name
    pretrained = Backbone(name, imagenet_weights(name, "generator.weights"))
    generator.encoder.load_state_dict(pretrained.state_dict())
