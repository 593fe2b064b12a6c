"""The published feature networks: pytorch-fid's InceptionV3 for FID and KID, LPIPS on torchvision's VGG-16.

Their files are taken from torch.hub's cache or downloaded into it, checked by SHA-256, and kept as safetensors: the
pickles are read once and never by those who evaluate.
"""

from __future__ import annotations

import hashlib
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tintype.config import ConfigError, Features
from tintype.data.cache import LabCache
from tintype.features.network import FeatureNetwork

TIMEOUT = 30.0  # seconds without an answer


@dataclass(frozen=True)
class Published:
    """A published weights file, and the part of it that is used: the keys that start with `prefix`."""

    url: str
    sha256: str
    prefix: str = ""

    @property
    def file_name(self) -> str:
        """As its publisher, and so torch.hub, names it."""
        return self.url.rsplit("/", 1)[-1]


PUBLISHED = {
    "inception": Published(
        # TensorFlow's network of 2015-12-05, which all published FIDs use, ported by https://github.com/mseitzer/pytorch-fid
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    ),
    "vgg16": Published(
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        prefix="features.",
    ),
}


class ImageNet(FeatureNetwork):
    """FID's InceptionV3 (final pooling, 2,048 values) and LPIPS (VGG-16, the trained linear layers of version 0.1).

    Args:
        inception: state dict of pytorch-fid's `fid_inception_v3`.
        vgg16: state dict of torchvision's `vgg16`, the keys ``features.*``.
    """

    suffix = ""
    num_features = 2048

    def __init__(self, inception: dict[str, Tensor], vgg16: dict[str, Tensor]) -> None:
        super().__init__()
        import pytorch_fid.inception
        from torchmetrics.functional.image.lpips import _LPIPS

        block = pytorch_fid.inception.InceptionV3.BLOCK_INDEX_BY_DIM[self.num_features]
        # Both constructors draw random weights first, and pytorch-fid's then asks torch.hub for the published ones.
        with (
            torch.random.fork_rng(devices=[]),
            patch.object(pytorch_fid.inception, "load_state_dict_from_url", lambda *_, **__: inception),
        ):
            self.inception = pytorch_fid.inception.InceptionV3([block], use_fid_inception=True)
            self.lpips = _LPIPS(pretrained=True, net="vgg", pnet_rand=True)
        for child in self.lpips.net.children():  # slice1 ... slice5, each convolution under torchvision's index
            layers = {str(name) for name, _ in child.named_children()}
            child.load_state_dict(_of_layers(vgg16, layers))

    def embed(self, rgb: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, 2048); scaled to 299x299 as pytorch-fid does."""
        return self.inception(rgb)[0].flatten(1)

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """LPIPS (Zhang et al. 2018, arXiv:1801.03924), (B,); sides of at least 16 pixels."""
        return self.lpips(a, b, normalize=True).flatten()


def _of_layers(vgg16: dict[str, Tensor], layers: set[str]) -> dict[str, Tensor]:
    """The weights ``features.<layer>.*`` of some layers, as ``<layer>.*``."""
    named = ((name.removeprefix("features."), value) for name, value in vgg16.items())
    return {name: value for name, value in named if name.split(".")[0] in layers}


def make(config: Features, cache: LabCache, out: Path, device: torch.device) -> dict[str, Any]:
    """Fetch the published weights and write them to `out`; returns where they are from. Raises `ConfigError`."""
    for name, published in PUBLISHED.items():
        state = torch.load(fetch(published), map_location="cpu", weights_only=True)
        weights = {key: value.detach().contiguous() for key, value in state.items() if key.startswith(published.prefix)}
        save_file(weights, out / f"{name}.safetensors")
    return {name: {"url": published.url, "sha256": published.sha256} for name, published in PUBLISHED.items()}


def load(folder: Path, card: dict[str, Any]) -> ImageNet:
    """The networks that `make` wrote."""
    return ImageNet(**{name: load_file(folder / f"{name}.safetensors") for name in PUBLISHED})


def fetch(published: Published) -> Path:
    """The file in torch.hub's cache, downloaded if it is not there yet, its hash checked.

    Raises `ConfigError`: one line that says which file to put where.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / published.file_name
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with _timeout(TIMEOUT):
                torch.hub.download_url_to_file(published.url, str(path), published.sha256, progress=sys.stderr.isatty())
        elif (found := _sha256(path)) != published.sha256:
            raise RuntimeError(f'invalid hash value (expected "{published.sha256}", got "{found}")')
    except (OSError, HTTPException, RuntimeError) as error:  # the last: torch.hub's for a wrong hash
        raise ConfigError(
            f"features.network = 'imagenet': no usable {published.file_name} ({error}); download {published.url} "
            f"and put it into {path.parent}, or set features.network to 'in_domain', which needs no download"
        ) from None
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    """torch.hub opens its URL without one: behind a silent firewall it would wait for minutes."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
