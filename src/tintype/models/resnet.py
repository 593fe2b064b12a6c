"""The U-Net with a ResNet-18 encoder, which can start from ImageNet weights."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from tintype.color.spaces import SPACES
from tintype.config import Generator
from tintype.features.published_weights import PUBLISHED, fetch_weights
from tintype.models.blocks import UpBlock, bounded, init_pix2pix, padded
from tintype.models.prediction import Prediction

MEAN, STD = 0.449, 0.226
"""ImageNet's mean and standard deviation of sRGB in [0, 1], averaged over the three channels.

Batch norm absorbs what the average leaves out.
"""


class ResNet18UNet(nn.Module):
    """Predicts chroma from lightness: (B, 1, H, W) -> `Prediction`. H and W are padded to multiples of 32.

    The encoder's state dict has the names and shapes of torchvision's `resnet18`, except for the first convolution,
    which sees one plane. Each decoder block doubles the size and fuses the encoder's features of that size. The last
    block fuses the photo itself. This is a smaller version of fastai's DynamicUnet, with transposed convolutions
    instead of pixel shuffles.

    Args:
        config: the space.
    """

    def __init__(self, config: Generator) -> None:
        super().__init__()
        from torchvision.models.resnet import resnet18  # takes seconds to import

        self.space = SPACES[config.space]
        children = {name: child for name, child in resnet18().named_children() if name not in ("avgpool", "fc")}
        children["conv1"] = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
        self.encoder = nn.ModuleDict(children)
        self.decoder = nn.ModuleList(
            FuseBlock(c_in, c_skip, c_out)
            for (c_in, c_out), c_skip in zip(pairwise([512, 256, 128, 64, 64, 32]), [256, 128, 64, 64, 1], strict=True)
        )
        self.to_chroma = nn.Sequential(nn.Conv2d(32, self.space.planes, 1), bounded(self.space))
        self.apply(init_pix2pix)

    def forward(self, lightness: Tensor) -> Prediction:
        """Predict chroma."""
        height, width = lightness.shape[-2:]
        features = self.encode(padded(lightness, 32))
        x = features.pop()
        for block in self.decoder:
            x = block(x, features.pop())
        return Prediction(self.to_chroma(x)[..., :height, :width])

    def encode(self, lightness: Tensor) -> list[Tensor]:
        """Return the gray photo as the encoder sees it, and its features at 1/2, 1/4 ... 1/32 of the size.

        Args:
            lightness: (B, 1, H, W).
        """
        x = (self.space.gray(lightness)[:, :1] - MEAN) / STD  # R = G = B
        features = [x]
        for name, stage in self.encoder.items():
            x = stage(x)
            if name in ("relu", "layer1", "layer2", "layer3", "layer4"):
                features.append(x)
        return features


class FuseBlock(nn.Module):
    """Doubles the size and fuses the skip: (B, c_in, H, W), (B, c_skip, 2H, 2W) -> (B, c_out, 2H, 2W)."""

    def __init__(self, c_in: int, c_skip: int, c_out: int) -> None:
        super().__init__()
        self.up = UpBlock(c_in, c_out)
        self.fuse = nn.Sequential(
            nn.Conv2d(c_out + c_skip, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU()
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Enlarge and fuse."""
        return self.fuse(torch.cat([self.up(x), skip], dim=1))


def resnet_from_imagenet(generator: nn.Module) -> None:
    """Load torchvision's ImageNet weights into a `ResNet18UNet`'s encoder, downloading them if necessary.

    The first convolution's weights are summed over red, green and blue. For a photo of three equal planes this gives
    the same result.

    Raises:
        UserError: the weights are not available. One line says which file to put where.
    """
    assert isinstance(generator, ResNet18UNet)
    published = fetch_weights(PUBLISHED["resnet18"], "generator.weights")
    weights = {name: value for name, value in published.items() if not name.startswith("fc.")}
    weights["conv1.weight"] = weights["conv1.weight"].sum(dim=1, keepdim=True)
    generator.encoder.load_state_dict(weights)
