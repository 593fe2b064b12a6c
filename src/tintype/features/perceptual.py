"""The perceptual loss: how different two photos are to a network, feature by feature and position by position.

Training uses this module. The code that writes the networks' weights is separate, in `perceptual_weights`.
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
from tintype.files import verified

CARD = "perceptual.json"
WEIGHTS = "perceptual.safetensors"


class PerceptualNetwork(nn.Module, ABC):
    """A network whose activations are compared by a perceptual loss."""

    @abstractmethod
    def layers(self, rgb: Tensor) -> list[Tensor]:
        """Return activations (B, C, h, w), layer by layer.

        Args:
            rgb: (B, 3, H, W) in [0, 1], sides of at least 8 pixels.
        """

    def perceptual_loss(self, predicted: Tensor, truth: Tensor) -> Tensor:
        """Return the mean absolute difference of the activations, summed over the layers, as a scalar.

        This is system B's loss. System B keeps it per pixel: it takes each layer's difference, averages it over
        channels, enlarges it to the photo's size (nearest), and adds the layers' maps. The mean of that map over its
        pixels equals this sum, which needs no map.

        Args:
            predicted: (B, 3, H, W) in [0, 1].
            truth: the same. No gradient flows into it.
        """
        with torch.no_grad():
            true_layers = self.layers(truth)
        pairs = zip(self.layers(predicted), true_layers, strict=True)
        return torch.stack([F.l1_loss(ours.float(), true.float()) for ours, true in pairs]).sum()


class VGG16(PerceptualNetwork):
    """relu1_2, relu2_2, relu3_3 and relu4_3 of torchvision's `vgg16`, as in Johnson et al. 2016, arXiv:1603.08155."""

    OUTPUTS = (3, 8, 15, 22)
    """Indices into torchvision's ``features``."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models.vgg import cfgs, make_layers

        self.features = make_layers(cfgs["D"])[: self.OUTPUTS[-1] + 1]
        mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # torchvision's normalization for ImageNet
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)

    def layers(self, rgb: Tensor) -> list[Tensor]:
        """Return activations at 1, 1/2, 1/4 and 1/8 of the photo's size, with 64, 128, 256 and 512 channels."""
        x = (rgb - self.mean) / self.std
        outputs = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.OUTPUTS:
                outputs.append(x)
        return outputs


class EfficientNetLite1(PerceptualNetwork):
    """EfficientNet-Lite1's features. Metrics use another network, EfficientNet-Lite2.

    Of the pyramid's five levels the last is left out. It has one position per 32x32 pixels, which tells a generator
    little about where a color belongs.

    At each position the channels are divided by their root mean square. A level's mean absolute difference then lies in
    [0, 2], whatever the size of its activations. These are block outputs without a nonlinearity, and their size differs
    between levels. Measured on 96 photos of 128x128 pixels, gray against color, the levels differ by 0.33, 0.28, 0.36
    and 0.33. Without the division they differ by 1.5, 2.7, 3.1 and 2.4.
    """

    NAME = "tf_efficientnet_lite1"
    """timm's name of the network."""
    LEVELS = 4

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone(self.NAME)

    def layers(self, rgb: Tensor) -> list[Tensor]:
        """Return activations at 1/2, 1/4, 1/8 and 1/16 of the photo's size, with 16, 24, 40 and 112 channels.

        Each position has a mean square of 1.
        """
        levels = self.backbone(rgb)[: self.LEVELS]
        return [F.normalize(level.float(), dim=1) * level.shape[1] ** 0.5 for level in levels]


def load_perceptual(folder: Path, device: torch.device | str = "cpu") -> PerceptualNetwork | None:
    """Return the network that `make_features` wrote to `folder`, frozen and in eval mode, on `device`.

    It is None if the project has none ("none").
    """
    card = json.loads(verified(folder / CARD, "features").read_text())
    if card["network"] == "none":
        return None
    with torch.random.fork_rng(devices=[]):  # the constructors draw random weights first
        network: PerceptualNetwork = {"efficientnet_lite": EfficientNetLite1, "imagenet": VGG16}[card["network"]]()
    network.load_state_dict(load_file(verified(folder / WEIGHTS, "features")))
    return network.requires_grad_(False).eval().to(device).to(memory_format=torch.channels_last)
