"""Validation during training: metrics and pictures on photos that the generator is not trained on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from tintype.color.colorfulness import colorfulness
from tintype.color.difference import delta_e_ciede2000
from tintype.color.lab import rgb_to_lab, to_uint8
from tintype.color.spaces import ColorSpace
from tintype.data.cache import LabSplit
from tintype.data.lab_codes import decode
from tintype.models.prediction import predict_at

PHOTOS = 256
"""Maximum number of photos. They are enough for a curve; the metrics that count are those of the test split."""
TOGETHER = 32
PANEL = 12
"""Number of photos in the picture of each epoch."""


class Validation:
    """Holds up to `PHOTOS` photos of a split on the training device.

    Args:
        split: the photos.
        space: space of the generator.
        device: the training device.
        image_size: side of the photos that the trained generator will see, pixels.
    """

    def __init__(self, split: LabSplit, space: ColorSpace, device: torch.device, image_size: int) -> None:
        self.space, self.image_size = space, image_size
        # spread evenly over the split, which may be sorted by class
        chosen = np.linspace(0, len(split) - 1, min(len(split), PHOTOS)).round().astype(int)
        self.codes = torch.from_numpy(split.codes[chosen]).to(device)

    @torch.no_grad()
    def metrics(self, generator: nn.Module) -> dict[str, float]:
        """Return means over photos, with the generator in eval mode. The result is {} without photos.

        ``val_mae`` is in network units. The others are ``val_ciede2000``, and ``val_colorfulness`` of the predictions.
        """
        metrics: dict[str, list[Tensor]] = {"val_mae": [], "val_ciede2000": [], "val_colorfulness": []}
        for photos in self._predicted(generator, self.codes):
            rgb = self.space.to_rgb(photos.lightness, photos.chroma)  # as on a screen: clipped to sRGB
            metrics["val_mae"].append((photos.chroma - photos.true_chroma).abs().mean(dim=(1, 2, 3)))
            metrics["val_ciede2000"].append(delta_e_ciede2000(rgb_to_lab(rgb), photos.lab).mean(dim=(1, 2)))
            metrics["val_colorfulness"].append(colorfulness(rgb))
        if not len(self.codes):
            return {}
        means = torch.stack([torch.cat(values).mean() for values in metrics.values()])
        return dict(zip(metrics, means.tolist(), strict=True))

    @torch.no_grad()
    def panel(self, generator: nn.Module) -> np.ndarray | None:
        """Paint the same `PANEL` photos in every epoch, one per column: gray, prediction and truth from top to bottom.

        Returns:
            (3 H, n W, 3) uint8, or None without photos.
        """
        if not len(self.codes):
            return None
        chosen = np.linspace(0, len(self.codes) - 1, min(len(self.codes), PANEL)).round().astype(int)
        columns = []
        for photos in self._predicted(generator, self.codes[torch.from_numpy(chosen).to(self.codes.device)]):
            gray, predicted, truth = (
                self.space.gray(photos.lightness),
                self.space.to_rgb(photos.lightness, photos.chroma),
                self.space.to_rgb(photos.lightness, photos.true_chroma),
            )
            columns.append(torch.cat([gray, predicted, truth], dim=2))
        sheet = torch.cat(list(torch.cat(columns)), dim=2)
        return to_uint8(sheet).permute(1, 2, 0).cpu().numpy()

    def _predicted(self, generator: nn.Module, codes: Tensor) -> Iterator[_Predicted]:
        generator.eval()
        for some in codes.split(TOGETHER) if len(codes) else ():
            lab = decode(some)
            lightness, true_chroma = self.space.split(lab)
            lightness = lightness.contiguous(memory_format=torch.channels_last)
            chroma = predict_at(generator, self.space, lightness, self.image_size).chroma
            yield _Predicted(lab, lightness, true_chroma, chroma)


class _Predicted(NamedTuple):
    """Photos and the generator's predictions."""

    lab: Tensor
    """(B, 3, H, W)."""
    lightness: Tensor
    """(B, 1, H, W), network units."""
    true_chroma: Tensor
    """(B, planes, H, W), network units."""
    chroma: Tensor
    """The generator's prediction, the same shape and units."""
