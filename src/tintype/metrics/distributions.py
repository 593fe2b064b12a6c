"""FID and KID: distances between the distributions of predicted and true photos in the space of a feature network."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn
from torchmetrics.image.kid import KernelInceptionDistance

KID_PHOTOS = 10_000
"""Maximum number of photos for KID, a seeded choice.

KID keeps features, not sums: 2 x 160 MB at 2,048 float64 features.
"""
KID_SUBSET = 1_000


class Embedded(nn.Module):
    """A stand-in for torchmetrics' feature network, for photos that are already embedded. FID shares the embedding."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        """Return the features (B, D) unchanged."""
        return features


class FrechetDistance:
    """FID (Heusel et al. 2017, arXiv:1706.08500) in float64.

    |mu1 - mu2|^2 + Tr C1 + Tr C2 - 2 Tr (C1 C2)^(1/2). With C1 = R'R, the last trace is that of (R C2 R')^(1/2). R has
    no more rows than there are true photos, so no matrix is larger than necessary.

    torchmetrics.image.fid is not used. It takes the eigenvalues of C1 C2, which is not symmetric. At 1,280 features it
    needs 65 times the time for 12 photos, 9 times for 400 and twice for 2,000 (`python -m benchmarks
    frechet_distance`). It also loses digits if C1 or C2 is singular.

    Args:
        truth: embeddings (N, D) of the true photos, N at least 2.
        device: device on which predictions are embedded.
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
        """Add the embeddings (B, D) of the next predictions."""
        difference = predicted.double() - self._mean  # small numbers, whose products lose no digits
        self._photos += len(difference)
        self._sum += difference.sum(dim=0)
        self._products += difference.mT @ difference

    def compute(self) -> float:
        """Return the distance for all predictions so far, at least 2."""
        total, products = self._sum.cpu(), self._products.cpu()
        shift = total / self._photos
        covariance = (products - shift.outer(total)) / (self._photos - 1)
        eigenvalues = torch.linalg.eigvalsh(self._root @ covariance @ self._root.mT)
        shared = eigenvalues.clamp(min=0).sqrt().sum()  # below 0 only by rounding
        return float(shift.square().sum() + self._root.square().sum() + covariance.trace() - 2 * shared)


class FeatureDistances:
    """FID, and KID (Bińkowski et al. 2018, arXiv:1801.01401), in float64.

    KID is the unbiased squared MMD with the kernel (x.y / D + 1)^3. It is not scaled, although it is often printed x
    1,000. Up to 1,000 photos it is over all pairs. With more photos it is the mean over 100 seeded subsets of 1,000.

    Args:
        truth: embeddings (N, D) of the true photos.
        photos: number of predictions that will be added.
        device: device on which predictions are embedded.
    """

    def __init__(self, truth: Tensor, photos: int, device: torch.device) -> None:
        kept = min(photos, len(truth), KID_PHOTOS)
        self._frechet = FrechetDistance(truth, device)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*large memory footprint")  # not the case here, see KID_PHOTOS
            self._kid = KernelInceptionDistance(
                Embedded(truth.shape[1]), subsets=1 if kept <= KID_SUBSET else 100, subset_size=min(kept, KID_SUBSET)
            ).to(device)
        self._kid.update(truth[_chosen(len(truth))].to(device).double(), real=True)
        self._in_kid = _chosen(photos).to(device)
        self._seen = 0

    def update(self, predicted: Tensor) -> None:
        """Add the embeddings (B, D) of the next predictions."""
        chosen = self._in_kid[self._seen : self._seen + len(predicted)]
        self._seen += len(predicted)
        self._frechet.update(predicted)
        self._kid.update(predicted.double()[chosen], real=False)

    def compute(self) -> dict[str, float]:
        """Return `fid` and `kid`."""
        with torch.random.fork_rng(devices=[]):  # torchmetrics draws its subsets from the global CPU generator
            torch.default_generator.manual_seed(0)
            kid, _ = self._kid.compute()
        return {"fid": self._frechet.compute(), "kid": float(kid)}


def _chosen(photos: int) -> Tensor:
    """Return which of `photos` photos KID keeps: a seeded choice, (photos,) bool."""
    return torch.randperm(photos, generator=torch.Generator().manual_seed(0)) < KID_PHOTOS
