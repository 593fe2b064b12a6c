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


class Embedded(nn.Module):
    """torchmetrics' place for a feature network, for photos that are embedded already: one embedding serves both."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        """(B, D) -> the same."""
        return features


class FrechetDistance:
    """FID (Heusel et al. 2017, arXiv:1706.08500), in float64."""

    def __init__(self, num_features: int, device: torch.device) -> None:
        self._fid = FrechetInceptionDistance(Embedded(num_features)).to(device)

    def update(self, predicted: Tensor, truth: Tensor) -> None:
        """Features (B, D) of the next photos."""
        self._fid.update(predicted.double(), real=False)
        self._fid.update(truth.double(), real=True)

    def compute(self) -> float:
        """Of all photos so far."""
        # On the CPU: not every GPU library has the eigenvalues of a matrix that is not symmetric.
        return float(self._fid.cpu().compute())


class FeatureDistances:
    """FID, and KID (Bińkowski et al. 2018, arXiv:1801.01401), in float64.

    KID is the unbiased squared MMD with the kernel (x.y / D + 1)^3, as it is (often printed x 1,000): over all pairs up
    to 1,000 photos, else the mean over 100 seeded subsets of 1,000.
    """

    def __init__(self, num_features: int, photos: int, device: torch.device) -> None:
        kept = min(photos, KID_PHOTOS)
        self._frechet = FrechetDistance(num_features, device)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*large memory footprint")  # not here: see KID_PHOTOS
            self._kid = KernelInceptionDistance(
                Embedded(num_features), subsets=1 if kept <= KID_SUBSET else 100, subset_size=min(kept, KID_SUBSET)
            ).to(device)
        order = torch.randperm(photos, generator=torch.Generator().manual_seed(0))
        self._in_kid = (order < kept).to(device)
        self._seen = 0

    def update(self, predicted: Tensor, truth: Tensor) -> None:
        """Features (B, D) of the next photos."""
        chosen = self._in_kid[self._seen : self._seen + len(truth)]
        self._seen += len(truth)
        self._frechet.update(predicted, truth)
        for features, real in ((predicted.double(), False), (truth.double(), True)):
            self._kid.update(features[chosen], real=real)

    def compute(self) -> dict[str, float]:
        """`fid` and `kid`."""
        with torch.random.fork_rng(devices=[]):  # torchmetrics draws its subsets from the global CPU generator
            torch.default_generator.manual_seed(0)
            kid, _ = self._kid.compute()
        return {"fid": self._frechet.compute(), "kid": float(kid)}
