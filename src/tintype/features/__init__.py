"""The feature networks behind FID, KID and LPIPS, by name: `imagenet` is published, `in_domain` is made here."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from tintype.config import Features
from tintype.data.cache import LabCache
from tintype.features import imagenet, in_domain
from tintype.features.network import FeatureNetwork

__all__ = ["CARD", "FeatureNetwork", "load_features", "make_features"]

CARD = "features.json"

NETWORKS = {"imagenet": imagenet, "in_domain": in_domain}
"""Name -> module with `make`, which writes a network to a folder and tells of it, and `load`, which reads it."""


def make_features(config: Features, cache: LabCache, out: Path, device: torch.device | str = "cpu") -> None:
    """Train or fetch the network `config.network` and write it to the folder `out`: safetensors and `features.json`.

    Raises `tintype.config.ConfigError`, one line, where published weights cannot be had.
    """
    out.mkdir(parents=True, exist_ok=True)
    card = {"network": config.network} | NETWORKS[config.network].make(config, cache, out, torch.device(device))
    (out / CARD).write_text(json.dumps(card, indent=2) + "\n")


def load_features(folder: Path, device: torch.device | str = "cpu") -> FeatureNetwork:
    """The network that `make_features` wrote to `folder`, frozen and in eval mode, on `device`."""
    card = json.loads((folder / CARD).read_text())
    network: FeatureNetwork = NETWORKS[card["network"]].load(folder, card)
    return network.requires_grad_(False).eval().to(device)
