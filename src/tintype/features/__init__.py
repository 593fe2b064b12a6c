"""The networks that see features, by name: `imagenet` is published, `in_domain` is made here.

One judges, by FID, KID and LPIPS. Another, where the params ask for it, teaches: it is behind the perceptual loss.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import torch

from tintype.config import Features
from tintype.data.cache import LabCache

if TYPE_CHECKING:
    from tintype.features.network import FeatureNetwork
    from tintype.features.torchvision_inception import TorchvisionInception

__all__ = ["CARD", "load_features", "load_torchvision_inception", "make_features"]

CARD = "features.json"


def make_features(config: Features, cache: LabCache, out: Path, device: torch.device | str = "cpu") -> None:
    """Train or fetch all networks that `config` asks for and write them to the folder `out`.

    The judge is safetensors and `features.json`, the teacher safetensors and `perceptual.json` (which is always there,
    and tells the hash of the weights), torchvision's Inception safetensors.

    Raises `tintype.config.ConfigError`, one line, where published weights cannot be had.
    """
    from tintype.features import teacher, torchvision_inception

    out.mkdir(parents=True, exist_ok=True)
    device = torch.device(device)
    card = {"network": config.network} | _judges(config.network).make(config, cache, out, device)
    (out / CARD).write_text(json.dumps(card, indent=2) + "\n")
    teacher.make(config, cache, out, device)
    if config.torchvision:
        torchvision_inception.make(out)


def load_features(folder: Path, device: torch.device | str = "cpu") -> FeatureNetwork:
    """The judge that `make_features` wrote to `folder`, frozen and in eval mode, on `device`."""
    card = json.loads((folder / CARD).read_text())
    network: FeatureNetwork = _judges(card["network"]).load(folder, card)
    return network.requires_grad_(False).eval().to(device)


def load_torchvision_inception(folder: Path, device: torch.device | str = "cpu") -> TorchvisionInception | None:
    """The network of `fid_torchvision`, frozen and in eval mode, on `device`; None if the params do not ask for it."""
    from tintype.features import torchvision_inception

    network = torchvision_inception.load(folder)
    return None if network is None else network.requires_grad_(False).eval().to(device)


def _judges(name: str) -> ModuleType:
    """A module with `make`, which writes a network to a folder and tells of it, and `load`, which reads it."""
    # Imported here: training takes the teacher alone, and does not depend on the judge's modules.
    from tintype.features import imagenet, in_domain

    return {"imagenet": imagenet, "in_domain": in_domain}[name]
