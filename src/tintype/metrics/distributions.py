"""Distances between the distributions of predicted and true photos, as a feature network sees them."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn
from torchmetrics.image.kid import KernelInceptionDistance

KID_PHOTOS = 10_000
"""KID keeps features, not sums: at most of so many photos (a seeded choice), 2 x 160 MB at 2,048 float64 features."""
KID_SUBSET = 1_000


class Embedded(nn.Module):
    """torchmetrics' place for a feature network, for photos that are embedded already: FID shares the embedding."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        """(B, D) -> the same."""
        return features


class FrechetDistance:
    """FID (Heusel et al. 2017, arXiv:1706.08500), in float64.

    |mu1 - mu2|^2 + Tr C1 + Tr C2 - 2 Tr (C1 C2)^(1/2). With C1 = R'R, the last trace is that of (R C2 R')^(1/2), and R
    has no more rows than there are true photos, so no matrix is larger than it must be.

    In place of torchmetrics.image.fid, which takes the eigenvalues of C1 C2, a matrix that is not symmetric: at 1,280
    features, 65 times the time for 12 photos, 9 times for 400, twice for 2,000 (`python -m benchmarks
    frechet_distance`), and it loses digits where C1 or C2 is singular.

    Args:
        truth: embeddings (N, D) of the true photos, N at least 2.
        device: where predictions are embedded.
    """

    def __init__(self, truth: Tensor, device: torch.device) -> None:
        truth = truth.double()
        mean = truth.mean(dim=0)
        self._root = torch.linalg.qr(truth - mean, mode="r").R / (len(truth) - 1) ** 0.5
        self._mean = mean.to(device)
        self._photos = 0
        self._sum = torch.zeros_like(self._mean)
        self._products = self._mean.new_zeros(2 * self._mean.shape)

    def update(self, predicted: Tensor) -> None:
        """Embeddings (B, D) of the next predictions."""
        difference = predicted.double() - self._mean  # small numbers: their products lose no digits
        self._photos += len(difference)
        self._sum += difference.sum(dim=0)
        self._products += difference.mT @ difference

    def compute(self) -> float:
        """Of all predictions so far, at least 2."""
        total, products = self._sum.cpu(), self._products.cpu()
        shift = total / self._photos
        covariance = (products - shift.outer(total)) / (self._photos - 1)
        eigenvalues = torch.linalg.eigvalsh(self._root @ covariance @ self._root.mT)
        shared = eigenvalues.clamp(min=0).sqrt().sum()  # below 0 by rounding only
        return float(shift.square().sum() + self._root.square().sum() + covariance.trace() - 2 * shared)


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
