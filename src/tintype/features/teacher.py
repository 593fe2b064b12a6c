"""Makes the network of the perceptual loss: `perceptual.safetensors`, and `perceptual.json`, which is always there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tintype.config import Features
from tintype.data.cache import LabCache
from tintype.features import in_domain
from tintype.features.perceptual import CARD, VGG16, WEIGHTS
from tintype.files import sha256_of
from tintype.published import PUBLISHED, fetch_weights


def make(config: Features, cache: LabCache, out: Path, device: torch.device) -> None:
    """Train or fetch `config.perceptual` and write it to `out`. Raises `ConfigError`."""
    card: dict[str, Any] = {"network": config.perceptual}
    if config.perceptual != "none":
        if config.perceptual == "imagenet":
            published = PUBLISHED["vgg16"]
            weights = fetch_weights(published, "features.perceptual")
            weights = {name: value for name, value in weights.items() if int(name.split(".")[1]) <= VGG16.OUTPUTS[-1]}
            about = {"url": published.url}
        else:
            # Another seed than the judge's: no row is trained on what it is judged by.
            network, about = in_domain.train_classifier(config, config.seed + 1, cache, device)
            weights = {name: value.cpu() for name, value in network.state_dict().items() if name.startswith("blocks.")}
        save_file(weights, out / WEIGHTS)
        card |= {"sha256": sha256_of(out / WEIGHTS)} | about
    (out / CARD).write_text(json.dumps(card, indent=2) + "\n")
