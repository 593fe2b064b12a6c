"""The interface of every feature network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn


class FeatureNetwork(nn.Module, ABC):
    """A network with an embedding of photos, for FID and KID, and a distance of two photos.

    Attributes:
        suffix: appended to `fid`, `kid` and the distance's name, so that a metric's name tells which network computed
            it. It is "" only for the published networks.
        distance_name: what `distance` measures, a name of `tintype.metrics.registry.METRICS`.
        num_features: D, the length of an embedding (torchmetrics' name for it).
    """

    suffix: ClassVar[str]
    distance_name: ClassVar[str]
    num_features: int

    @abstractmethod
    def embed(self, rgb: Tensor) -> Tensor:
        """Embed photos of any size: (B, 3, H, W) in [0, 1] -> (B, D)."""

    @abstractmethod
    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the distance of photos, pair by pair: (B, 3, H, W) in [0, 1] twice -> (B,). Equal photos have 0."""
