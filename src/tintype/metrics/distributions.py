"""Distances between the distributions of predicted and true photos, as a feature network sees them."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

KID_PHOTOS = 10_000
"""KID keeps features, not sums: at most of so many photos (a seeded choice), 2 x 160 MB at 2,048 float64 features."""
KID_SUBSET = 1_000
CHUNK = 1_000
"""Photos that FID takes at once."""


class Embedded(nn.Module):
    """torchmetrics' place for a feature network, for photos that are embedded already: one embedding serves both."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        """(B, D) -> the same."""
        return features


class FrechetDistance:
    """FID (Heusel et al. 2017, arXiv:1706.08500), in float64.

    Args:
        truth: embeddings (N, D) of the true photos.
        device: where predictions are embedded.
    """

    def __init__(self, truth: Tensor, device: torch.device) -> None:
        self._fid = FrechetInceptionDistance(Embedded(truth.shape[1])).to(device)
        for part in truth.split(CHUNK):
            self._fid.update(part.to(device).double(), real=True)

    def update(self, predicted: Tensor) -> None:
        """Embeddings (B, D) of the next predictions."""
        self._fid.update(predicted.double(), real=False)

    def compute(self) -> float:
        """Of all predictions so far."""
        # On the CPU: not every GPU library has the eigenvalues of a matrix that is not symmetric.
        return float(self._fid.cpu().compute())


class FeatureDistances:
    """FID, and KID (Bińkowski et al. 2018, arXiv:1801.01401), in float64.

    KID is the unbiased squared MMD with the kernel (x.y / D + 1)^3, as it is (often printed x 1,000): over all pairs up
    to 1,000 photos, else the mean over 100 seeded subsets of 1,000.

    Args:
        truth: embeddings (N, D) of the true photos.
        photos: how many predictions there will be.
        device: where predictions are embedded.
    """

    def __init__(self, truth: Tensor, photos: int, device: torch.device) -> None:
        kept = min(photos, len(truth), KID_PHOTOS)
        self._frechet = FrechetDistance(truth, device)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*large memory footprint")  # not here: see KID_PHOTOS
            self._kid = KernelInceptionDistance(
                Embedded(truth.shape[1]), subsets=1 if kept <= KID_SUBSET else 100, subset_size=min(kept, KID_SUBSET)
            ).to(device)
        self._kid.update(truth[_chosen(len(truth))].to(device).double(), real=True)
        self._in_kid = _chosen(photos).to(device)
        self._seen = 0

    def update(self, predicted: Tensor) -> None:
        """Embeddings (B, D) of the next predictions."""
        chosen = self._in_kid[self._seen : self._seen + len(predicted)]
        self._seen += len(predicted)
        self._frechet.update(predicted)
        self._kid.update(predicted.double()[chosen], real=False)

    def compute(self) -> dict[str, float]:
        """`fid` and `kid`."""
        with torch.random.fork_rng(devices=[]):  # torchmetrics draws its subsets from the global CPU generator
            torch.default_generator.manual_seed(0)
            kid, _ = self._kid.compute()
        return {"fid": self._frechet.compute(), "kid": float(kid)}


def _chosen(photos: int) -> Tensor:
    """Which of so many photos KID keeps: a seeded choice, (photos,) of booleans."""
    return torch.randperm(photos, generator=torch.Generator().manual_seed(0)) < KID_PHOTOS
