"""The feature network made here: a small classifier of the training photos, which needs no network connection.

It sees colour photos. Where they have no classes it learns pseudo-classes, clusters of their coarse layout in Lab, as
deep clustering does (Caron et al. 2018, arXiv:1807.05520), so that colour still decides.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from tintype.color import lab_to_rgb, net_to_lab
from tintype.config import Features
from tintype.data.batches import Batch, Batches
from tintype.data.cache import LabCache, LabSplit, decode
from tintype.features.blocks import WIDEST, activations, small_blocks
from tintype.features.network import FeatureNetwork

WEIGHTS = "in_domain.safetensors"
BATCH_SIZE = 32
PEAK_LR = 6e-3  # AdamW, one cycle

PSEUDO_CLASSES = 12
THUMBNAIL = 4  # pixels a side
CHROMA_WEIGHT = 3.0  # photos differ far more in L than in ab; without it the clusters are of lightness


class InDomain(FeatureNetwork):
    """Four blocks, global average pool, linear head."""

    suffix = "_in_domain"
    num_features = WIDEST

    def __init__(self, filters: int, classes: int) -> None:
        super().__init__()
        self.blocks = small_blocks(filters)
        self.head = nn.Linear(self.num_features, classes)

    def forward(self, rgb: Tensor) -> Tensor:
        """Class logits: (B, 3, H, W) in [0, 1] -> (B, classes)."""
        return self.head(self.embed(rgb))

    def embed(self, rgb: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, 64)."""
        return activations(self.blocks, rgb)[-1].mean(dim=(2, 3))

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """LPIPS with all channel weights 1: (B,), in [0, 8], at most 2 a block.

        Source: Zhang et al. 2018, arXiv:1801.03924, eq. 1 (there this is the uncalibrated "baseline").
        """
        layers = zip(activations(self.blocks, a), activations(self.blocks, b), strict=True)
        return torch.stack([_squared_difference(x, y).mean(dim=(1, 2)) for x, y in layers]).sum(dim=0)


def _squared_difference(x: Tensor, y: Tensor) -> Tensor:
    """Of unit-normalised channels, summed over them: (B, C, h, w) twice -> (B, h, w)."""
    return (F.normalize(x, dim=1) - F.normalize(y, dim=1)).square().sum(dim=1)


def make(config: Features, cache: LabCache, out: Path, device: torch.device) -> dict[str, Any]:
    """Train on the training split, write the weights to `out`, return what the card tells."""
    network, about = train_classifier(config, config.seed, cache, device)
    save_file({name: value.cpu() for name, value in network.state_dict().items()}, out / WEIGHTS)
    return about


def load(folder: Path, card: dict[str, Any]) -> InDomain:
    """The network that `make` wrote."""
    network = InDomain(card["filters"], card["classes"])
    network.load_state_dict(load_file(folder / WEIGHTS))
    return network


def train_classifier(
    config: Features, seed: int, cache: LabCache, device: torch.device
) -> tuple[InDomain, dict[str, Any]]:
    """A classifier of the training split, and what a card tells of it."""
    train, validation = cache.split("train"), cache.split("validation")
    pseudo = len(np.unique(train.labels[train.labels >= 0])) < 2
    if pseudo:
        train, validation = _pseudo_classed(train, validation, seed)
    network = _trained(config, seed, train, device)
    return network, {
        "filters": config.filters,
        "classes": len(train.classes),
        "pseudo_classes": pseudo,
        "train_accuracy": _accuracy(network, train, device),
        "validation_accuracy": _accuracy(network, validation, device),
    }


@torch.backends.cudnn.flags(enabled=True, deterministic=True)
def _trained(config: Features, seed: int, train: LabSplit, device: torch.device) -> InDomain:
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they were
        torch.default_generator.manual_seed(seed)
        network = InDomain(config.filters, len(train.classes)).to(device)
    batches = Batches(train, BATCH_SIZE, device, seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=PEAK_LR)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LR, total_steps=config.epochs * len(batches))
    with tqdm(total=config.epochs * len(batches), desc="feature network", unit="step", disable=None) as bar:
        for epoch in range(config.epochs):
            for batch in batches.epoch(epoch):
                loss = F.cross_entropy(network(_rgb(batch)), batch.labels, ignore_index=-1)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                bar.update()
    return network.eval()


@torch.no_grad()
def _accuracy(network: InDomain, split: LabSplit, device: torch.device) -> float | None:
    """Share of the photos with a class that get it; None without such photos."""
    right, photos = 0, 0
    for batch in Batches(split, BATCH_SIZE, device, seed=0).in_order(BATCH_SIZE):
        right += int((network(_rgb(batch)).argmax(dim=1) == batch.labels).sum())
        photos += int((batch.labels >= 0).sum())
    return right / photos if photos else None


def _rgb(batch: Batch) -> Tensor:
    return lab_to_rgb(net_to_lab(batch.lightness, batch.chroma))


def _pseudo_classed(train: LabSplit, validation: LabSplit, seed: int) -> tuple[LabSplit, LabSplit]:
    """Both splits with the cluster of each photo's thumbnail as its label; the clusters are the training split's."""
    from scipy.cluster.vq import kmeans2, vq

    thumbnails = _thumbnails(train)
    k = max(1, min(PSEUDO_CLASSES, len(thumbnails) // 4))
    centroids, labels = kmeans2(thumbnails, k, iter=30, minit="++", rng=seed)
    names = [f"cluster {i}" for i in range(k)]
    nearest = vq(_thumbnails(validation), centroids)[0] if len(validation) else validation.labels
    return (
        replace(train, labels=labels.astype(np.int64), classes=names),
        replace(validation, labels=nearest.astype(np.int64), classes=names),
    )


def _thumbnails(split: LabSplit) -> np.ndarray:
    """(N, 48) float64: each photo's 4x4 means of L, a, b, chroma weighted up."""
    weights = torch.tensor([1.0, CHROMA_WEIGHT, CHROMA_WEIGHT])[:, None, None]
    means = [
        F.adaptive_avg_pool2d(decode(split.codes[start : start + 256]), THUMBNAIL) * weights
        for start in range(0, len(split), 256)
    ]
    return torch.cat(means).flatten(1).double().numpy()
