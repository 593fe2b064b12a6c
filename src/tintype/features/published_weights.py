"""Published weights: taken from torch.hub's cache or downloaded into it, and checked by SHA-256.

The files are pickles. They are read once, and only as tensors. tintype keeps safetensors.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tintype import download as fetching
from tintype.errors import UserError


@dataclass(frozen=True)
class Published:
    """A published weights file, and the part of it that is used: the keys that start with `prefix`."""

    url: str
    sha256: str
    prefix: str = ""

    @property
    def file_name(self) -> str:
        """The name that the publisher, and therefore torch.hub, gives the file."""
        return self.url.rsplit("/", 1)[-1]


PUBLISHED = {
    "inception": Published(
        # TensorFlow's network of 2015-12-05, which all published FIDs use, ported by
        # https://github.com/mseitzer/pytorch-fid
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    ),
    "inception_torchvision": Published(
        "https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth",
        "0cc3c7bd75056d25e46cba549dc184522069b81e9787eff6df84f397bd52a5ef",
    ),
    "resnet18": Published(
        "https://download.pytorch.org/models/resnet18-f37072fd.pth",
        "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
    ),
    "vgg16": Published(
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        prefix="features.",
    ),
}

SETTINGS = {
    "features.network": ("'imagenet'", "'efficientnet_lite'"),
    "features.perceptual": ("'imagenet'", "'efficientnet_lite'"),
    "features.fid_torchvision": ("true", "false"),
    "generator.weights": ("'imagenet'", "'none'"),
}
"""Config key -> the value that asks for published weights, and one that does not need them."""


def fetch(published: Published, key: str) -> Path:
    """Return the path of the file in torch.hub's cache, after downloading it if it is missing and checking its hash.

    Args:
        published: the wanted file.
        key: config key that asks for it, a key of `SETTINGS`.

    Raises:
        UserError: one line that says which file to put where, and how to do without it.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / published.file_name
    try:
        fetching.fetch(published.url, path, published.sha256, variable="TORCH_HOME")
    except fetching.NotFetched as reason:
        value, without = SETTINGS[key]
        raise UserError(
            f"{key} = {value}: no usable {published.file_name} ({reason}); download {published.url} "
            f"and put it into {path.parent}, or set {key} to {without}, which needs no download"
        ) from None
    return path


def fetch_weights(published: Published, key: str) -> dict[str, Tensor]:
    """Return the weights in the file that are used, on the CPU. Arguments and errors are those of `fetch`."""
    state = torch.load(fetch(published, key), map_location="cpu", weights_only=True)
    return {name: value.detach().contiguous() for name, value in state.items() if name.startswith(published.prefix)}
