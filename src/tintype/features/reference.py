"""The reference for predictions: the true photos of a split, as seen by the feature networks.

All rows of a project are compared with the same photos. The stage `features` embeds them once. The stage `evaluate`
reads these embeddings and embeds only a row's predictions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from tintype.color.lab import lab_to_net, to_uint8
from tintype.color.spaces import SPACES, ColorSpace
from tintype.data.cache import LabSplit
from tintype.data.lab_codes import decode
from tintype.features import load_features, load_torchvision_inception
from tintype.features.network import FeatureNetwork
from tintype.files import verified, write_sums

if TYPE_CHECKING:
    from tintype.features.torchvision_inception import TorchvisionInception

FILE = "truth.safetensors"
TORCHVISION = "torchvision"
BATCH_SIZE = 32


@dataclass(frozen=True)
class Reference:
    """The measuring networks and their embeddings of the true photos."""

    features: FeatureNetwork
    embeddings: Mapping[str, Tensor]
    """By name: ``rgb`` and, if asked for, ``lab_planes``, (N, D) by `features`; ``torchvision``, (N, 2048)."""
    device: torch.device
    """Device of the networks."""
    inception: TorchvisionInception | None = None
    """torchvision's network, for `fid_torchvision`."""


def displayed_rgb(lightness: Tensor, chroma: Tensor, space: ColorSpace = SPACES["lab"]) -> Tensor:
    """Convert network units to sRGB (B, 3, H, W) in [0, 1], in steps of 1/255 as on screens and in files."""
    return to_uint8(space.to_rgb(lightness, chroma)) / 255


def lab_planes(lightness: Tensor, chroma: Tensor) -> Tensor:
    """Convert network units to the planes L, a, b (B, 3, H, W), each scaled to [0, 1]. White is (1, 1/2, 1/2)."""
    return torch.cat([lightness, chroma], dim=1) / 2 + 0.5


# TF32 has only 10 bits. Predictions must be embedded like the truth, on any device.
@torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
@torch.no_grad()
def make_reference(
    split: LabSplit,
    features: FeatureNetwork,
    spaces: Iterable[str],
    device: torch.device | str,
    inception: TorchvisionInception | None = None,
) -> Reference:
    """Embed a split's photos with the networks. The embeddings are kept on the CPU.

    Args:
        split: N photos.
        features: on `device`.
        spaces: as in ``evaluate.spaces``. `rgb` is always embedded.
        device: device of the networks.
        inception: on `device`.
    """
    found: dict[str, list[Tensor]] = {}
    for start in tqdm(range(0, len(split), BATCH_SIZE), desc="embed the test photos", unit="batch", disable=None):
        lightness, chroma = lab_to_net(decode(split.codes[start : start + BATCH_SIZE]).to(device))
        rgb = displayed_rgb(lightness, chroma)
        embeddings = {"rgb": features.embed(rgb)}
        if "lab_planes" in spaces:
            embeddings["lab_planes"] = features.embed(lab_planes(lightness, chroma))
        if inception is not None:
            embeddings[TORCHVISION] = inception(rgb)
        for name, embedding in embeddings.items():
            found.setdefault(name, []).append(embedding.cpu())
    return Reference(
        features, {name: torch.cat(parts) for name, parts in found.items()}, torch.device(device), inception
    )


def write_reference(split: LabSplit, folder: Path, spaces: Iterable[str], device: torch.device | str) -> None:
    """Embed a split with the networks in `folder`, and write the embeddings to the same folder."""
    features, inception = load_features(folder, device), load_torchvision_inception(folder, device)
    save_file(dict(make_reference(split, features, spaces, device, inception).embeddings), folder / FILE)
    write_sums(folder)


def load_reference(folder: Path, device: torch.device | str) -> Reference:
    """Load the embeddings that `write_reference` wrote, and the networks in the same folder."""
    features, inception = load_features(folder, device), load_torchvision_inception(folder, device)
    return Reference(features, load_file(verified(folder / FILE, "features")), torch.device(device), inception)
