"""The published feature networks: pytorch-fid's InceptionV3 for FID and KID, LPIPS on torchvision's VGG-16.

Their weights are kept as safetensors. The publishers' pickles are read once, and never by those who evaluate.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tintype.features.network import FeatureNetwork
from tintype.features.published_weights import PUBLISHED, fetch_weights
from tintype.files import verified

FILES = ("inception", "vgg16")
"""Keys of `PUBLISHED`."""


class ImageNet(FeatureNetwork):
    """FID's InceptionV3 (final pooling, 2,048 values) and LPIPS (VGG-16, the trained linear layers of version 0.1).

    Args:
        inception: state dict of pytorch-fid's `fid_inception_v3`.
        vgg16: the keys ``features.*`` of the state dict of torchvision's `vgg16`.
    """

    suffix = ""
    distance_name = "lpips"
    num_features = 2048

    def __init__(self, inception: dict[str, Tensor], vgg16: dict[str, Tensor]) -> None:
        super().__init__()
        import pytorch_fid.inception
        from torchmetrics.functional.image.lpips import _LPIPS

        block = pytorch_fid.inception.InceptionV3.BLOCK_INDEX_BY_DIM[self.num_features]
        # Both constructors draw random weights first. pytorch-fid's then asks torch.hub for the published ones.
        with (
            torch.random.fork_rng(devices=[]),
            patch.object(pytorch_fid.inception, "load_state_dict_from_url", lambda *_, **__: inception),
        ):
            self.inception = pytorch_fid.inception.InceptionV3([block], use_fid_inception=True)
            self.lpips = _LPIPS(pretrained=True, net="vgg", pnet_rand=True)
        for child in self.lpips.net.children():  # slice1 ... slice5; each convolution has torchvision's index
            layers = {str(name) for name, _ in child.named_children()}
            child.load_state_dict(_of_layers(vgg16, layers))

    def embed(self, rgb: Tensor) -> Tensor:
        """Embed photos: (B, 3, H, W) in [0, 1] -> (B, 2048). They are scaled to 299x299, as in pytorch-fid."""
        return self.inception(rgb)[0].flatten(1)

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Return LPIPS (Zhang et al. 2018, arXiv:1801.03924), (B,). Sides must have at least 16 pixels."""
        return self.lpips(a, b, normalize=True).flatten()


def _of_layers(vgg16: dict[str, Tensor], layers: set[str]) -> dict[str, Tensor]:
    """Return the weights ``features.<layer>.*`` of some layers, as ``<layer>.*``."""
    named = ((name.removeprefix("features."), value) for name, value in vgg16.items())
    return {name: value for name, value in named if name.split(".")[0] in layers}


def make(out: Path) -> dict[str, Any]:
    """Fetch the published weights and write them to `out`. Return where they come from. Raises `UserError`."""
    for name in FILES:
        save_file(fetch_weights(PUBLISHED[name], "features.network"), out / f"{name}.safetensors")
    return {name: {"url": PUBLISHED[name].url, "sha256": PUBLISHED[name].sha256} for name in FILES}


def load(folder: Path, card: dict[str, Any]) -> ImageNet:
    """Return the networks that `make` wrote."""
    return ImageNet(**{name: load_file(verified(folder / f"{name}.safetensors", "features")) for name in FILES})
