"""Writer of the perceptual network: `perceptual.safetensors`, and `perceptual.json`, which is always written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from tintype.config import Features
from tintype.features.backbones import PACKAGED, imagenet_weights
from tintype.features.perceptual import CARD, VGG16, WEIGHTS, EfficientNetLite1
from tintype.features.published_weights import PUBLISHED, fetch_weights
from tintype.files import sha256_of

KEY = "features.perceptual"


def make(config: Features, out: Path) -> None:
    """Write the network that `config.perceptual` names to the folder `out`. Raises `UserError`."""
    card: dict[str, Any] = {"network": config.perceptual}
    if config.perceptual != "none":
        weights, about = {"efficientnet_lite": _lite1, "imagenet": _vgg16}[config.perceptual]()
        save_file(weights, out / WEIGHTS)
        card |= {"sha256": sha256_of(out / WEIGHTS)} | about
    (out / CARD).write_text(json.dumps(card, indent=2) + "\n")


def _lite1() -> tuple[dict[str, Tensor], dict[str, str]]:
    weights = imagenet_weights(EfficientNetLite1.NAME, KEY)
    with torch.random.fork_rng(devices=[]):  # the constructor draws random weights first
        names = EfficientNetLite1().state_dict()
    used = {name: weights[name.removeprefix("backbone.network.")] for name in names}
    return used, {"package": PACKAGED[EfficientNetLite1.NAME].package}


def _vgg16() -> tuple[dict[str, Tensor], dict[str, str]]:
    published = PUBLISHED["vgg16"]
    weights = fetch_weights(published, KEY)
    used = {name: value for name, value in weights.items() if int(name.split(".")[1]) <= VGG16.OUTPUTS[-1]}
    return used, {"url": published.url}
