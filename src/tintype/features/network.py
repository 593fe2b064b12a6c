"""What every feature network offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn


class FeatureNetwork(nn.Module, ABC):
    """A network that sees photos: an embedding for FID and KID, and a distance of two photos.

    Attributes:
        suffix: appended to `fid`, `kid` and the distance's name, so that a value's name tells which network made it;
            "" for the published networks alone.
        distance_name: of `tintype.metrics.registry.METRICS`: what `distance` measures.
        num_features: D, the length of an embedding (torchmetrics' name for it).
    """

    suffix: ClassVar[str]
    distance_name: ClassVar[str]
    num_features: int

    @abstractmethod
    def embed(self, rgb: Tensor) -> Tensor:
        """Photos (B, 3, H, W) in [0, 1], any size -> (B, D)."""

    @abstractmethod
    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Of photos, one by one: two times (B, 3, H, W) in [0, 1] -> (B,); 0 for equal photos."""
