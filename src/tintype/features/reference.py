"""The true photos of a split as they are measured, and their embeddings.

All rows of a project are compared with the same photos. The stage `features` embeds them once; `evaluate` reads the
embeddings, and only embeds what a row predicts.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from tintype.color.lab import lab_to_net, to_uint8
from tintype.color.spaces import SPACES, ColorSpace
from tintype.data.cache import LabSplit, decode
from tintype.features import load_features, load_torchvision_inception
from tintype.features.network import FeatureNetwork

if TYPE_CHECKING:
    from tintype.features.torchvision_inception import TorchvisionInception

FILE = "truth.safetensors"
TORCHVISION = "torchvision"
BATCH_SIZE = 32


def shown(lightness: Tensor, chroma: Tensor, space: ColorSpace = SPACES["lab"]) -> Tensor:
    """Network units -> sRGB (B, 3, H, W) in [0, 1], in steps of 1/255 as every screen and file has it."""
    return to_uint8(space.to_rgb(lightness, chroma)) / 255


def lab_planes(lightness: Tensor, chroma: Tensor) -> Tensor:
    """Network units -> the planes L, a, b (B, 3, H, W), each scaled to [0, 1]; white is (1, 1/2, 1/2)."""
    return torch.cat([lightness, chroma], dim=1) / 2 + 0.5


# TF32 has 10 bits: rows must be embedded as the truth is, on whatever device.
@torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
@torch.no_grad()
def embed_truth(
    split: LabSplit,
    features: FeatureNetwork,
    spaces: Iterable[str],
    device: torch.device | str,
    torchvision: TorchvisionInception | None = None,
) -> dict[str, Tensor]:
    """What the networks see in a split's photos, on the CPU.

    Args:
        split: N photos.
        features: on `device`.
        spaces: as in ``evaluate.spaces``; `rgb` is always embedded.
        device: where the networks are.
        torchvision: on `device`.

    Returns:
        ``rgb``, and ``lab_planes`` where asked for: (N, D) by `features`; ``torchvision``: (N, 2048).
    """
    found: dict[str, list[Tensor]] = {}
    for start in tqdm(range(0, len(split), BATCH_SIZE), desc="embed the test photos", unit="batch", disable=None):
        lightness, chroma = lab_to_net(decode(split.codes[start : start + BATCH_SIZE]).to(device))
        rgb = shown(lightness, chroma)
        embeddings = {"rgb": features.embed(rgb)}
        if "lab_planes" in spaces:
            embeddings["lab_planes"] = features.embed(lab_planes(lightness, chroma))
        if torchvision is not None:
            embeddings[TORCHVISION] = torchvision(rgb)
        for name, embedding in embeddings.items():
            found.setdefault(name, []).append(embedding.cpu())
    return {name: torch.cat(parts) for name, parts in found.items()}


def write_truth(split: LabSplit, folder: Path, spaces: Iterable[str], device: torch.device | str) -> None:
    """Embed a split by the networks in `folder`, and write the embeddings beside them."""
    features, torchvision = load_features(folder, device), load_torchvision_inception(folder, device)
    save_file(embed_truth(split, features, spaces, device, torchvision), folder / FILE)


def load_truth(folder: Path) -> dict[str, Tensor]:
    """What `write_truth` wrote."""
    return load_file(folder / FILE)
