"""The perceptual loss: how different two photos are to a network, feature by feature and place by place.

This file is all of this room that training runs; what writes the networks' weights is in `perceptual_weights`.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from tintype.features.backbones import Backbone

CARD = "perceptual.json"
WEIGHTS = "perceptual.safetensors"


class PerceptualNetwork(nn.Module, ABC):
    """A network whose activations a perceptual loss compares."""

    @abstractmethod
    def layers(self, rgb: Tensor) -> list[Tensor]:
        """Photos (B, 3, H, W) in [0, 1], sides of at least 8 pixels -> activations (B, C, h, w), layer by layer."""

    def perceptual_loss(self, predicted: Tensor, truth: Tensor) -> Tensor:
        """The mean absolute difference of the activations, summed over the layers: a scalar.

        System B's loss, which is kept pixel by pixel: each layer's difference, mean over channels, enlarged to the
        photo's size (nearest), and the layers' maps added. The mean over that map's pixels is this sum, and needs no
        map.

        Args:
            predicted: (B, 3, H, W) in [0, 1].
            truth: the same; no gradient flows into it.
        """
        with torch.no_grad():
            true_layers = self.layers(truth)
        pairs = zip(self.layers(predicted), true_layers, strict=True)
        return torch.stack([F.l1_loss(ours.float(), true.float()) for ours, true in pairs]).sum()


class VGG16(PerceptualNetwork):
    """relu1_2, relu2_2, relu3_3 and relu4_3 of torchvision's `vgg16`, as in Johnson et al. 2016, arXiv:1603.08155."""

    OUTPUTS = (3, 8, 15, 22)
    """Of torchvision's ``features``."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models.vgg import cfgs, make_layers

        self.features = make_layers(cfgs["D"])[: self.OUTPUTS[-1] + 1]
        mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as torchvision normalizes
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)

    def layers(self, rgb: Tensor) -> list[Tensor]:
        """At 1, 1/2, 1/4 and 1/8 of the photo's size: 64, 128, 256 and 512 channels."""
        x = (rgb - self.mean) / self.std
        outputs = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.OUTPUTS:
                outputs.append(x)
        return outputs


class EfficientNetLite1(PerceptualNetwork):
    """EfficientNet-Lite1's features: another network than the one that measures, EfficientNet-Lite2.

    Of the pyramid's five levels the last is left out: it has one position per 32x32 pixels, which tells a generator
    little about where a color belongs.

    At each position the channels are divided by their root mean square. Then a level's mean absolute difference lies
    in [0, 2] whatever the size of its activations, which are block outputs without a nonlinearity and differ from level
    to level. Measured on 96 photos of 128x128 pixels, gray against color, the levels differ by 0.33, 0.28, 0.36 and
    0.33; by 1.5, 2.7, 3.1 and 2.4 without the division.
    """

    NAME = "tf_efficientnet_lite1"
    """timm's."""
    LEVELS = 4

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone(self.NAME)

    def layers(self, rgb: Tensor) -> list[Tensor]:
        """At 1/2, 1/4, 1/8 and 1/16 of the photo's size: 16, 24, 40 and 112 channels, each position's mean square 1."""
        levels = self.backbone(rgb)[: self.LEVELS]
        return [F.normalize(level.float(), dim=1) * level.shape[1] ** 0.5 for level in levels]


def load_perceptual(folder: Path, device: torch.device | str = "cpu") -> PerceptualNetwork | None:
    """The network that `make_features` wrote to `folder`, frozen and in eval mode, on `device`; None for "none"."""
    card = json.loads((folder / CARD).read_text())
    if card["network"] == "none":
        return None
    with torch.random.fork_rng(devices=[]):  # the constructors draw random weights first
        network: PerceptualNetwork = {"efficientnet_lite": EfficientNetLite1, "imagenet": VGG16}[card["network"]]()
    network.load_state_dict(load_file(folder / WEIGHTS))
    return network.requires_grad_(False).eval().to(device).to(memory_format=torch.channels_last)
