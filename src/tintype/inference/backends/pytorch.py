"""Backend that runs a generator with torch."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from tintype.color.spaces import SPACES
from tintype.devices import default_device
from tintype.errors import UserError
from tintype.inference.backends.soundness import finite
from tintype.models import load_generator
from tintype.models.timm_unet import TimmUNet
from tintype.models.unet import UNet

if TYPE_CHECKING:
    from tintype.inference.model_card import ModelCard


class LabGenerator(nn.Module):
    """Wraps a generator of any color space as a network from L* to ab.

    Args:
        generator: lightness (B, 1, h, w) -> `tintype.models.Prediction`.
        space: color space of the generator, a name of `tintype.color.spaces.SPACES`.
    """

    def __init__(self, generator: nn.Module, space: str) -> None:
        super().__init__()
        self.generator = generator
        self.space = SPACES[space]
        self.chroma_stride = _chroma_stride(generator)

    def forward(self, lightness: Tensor) -> Tensor:
        """Predict chroma: (B, 1, h, w) L* in [0, 100] -> (B, 2, h, w) ab, Lab units."""
        gray = torch.cat([lightness, torch.zeros_like(lightness), torch.zeros_like(lightness)], dim=1)
        seen, _ = self.space.split(gray)
        return self.space.to_lab(seen, self.generator(seen).chroma.float())[:, 1:]


def _chroma_stride(generator: nn.Module) -> int:
    """Return how many times a generator enlarges the chroma that it predicts."""
    by_bins = isinstance(generator, UNet) and generator.to_bins is not None
    return 4 if by_bins or isinstance(generator, TimmUNet) else 1


class TorchGenerator:
    """A backend: see `tintype.inference.backends.Backend`."""

    def __init__(self, folder: Path, device: str = "auto") -> None:
        try:
            self.device = default_device() if device == "auto" else torch.device(device)
            generator, card = load_generator(folder, device=self.device)
        except (FileNotFoundError, ValueError) as error:
            raise UserError(str(error)) from None
        except (RuntimeError, AssertionError) as error:  # torch raises them for a device that is not available
            raise UserError(f"device {device!r}: {str(error).splitlines()[0]}; allowed: auto, cpu, cuda") from None
        self.where = str(folder)
        self.image_size = card.image_size
        self.network = LabGenerator(generator, card.generator.space).eval()
        self.dropout = [
            layer
            for name, layer in generator.named_modules()
            if isinstance(layer, nn.Dropout) and layer.p > 0 and "class_branch" not in name
        ]
        self.stochastic = bool(self.dropout)
        self.chroma_stride = self.network.chroma_stride
        self.card: ModelCard | None = None
        self.lock = threading.Lock()

    def __call__(self, lightness: np.ndarray, seed: int | None = None) -> np.ndarray:
        """See `Backend`. With a seed, dropout works as in training, as in pix2pix (arXiv:1611.07004, section 3.1)."""
        batch = torch.from_numpy(lightness).to(self.device)
        with self.lock, torch.inference_mode():
            if seed is None or not self.stochastic:
                return self._answer(batch)
            devices = [self.device] if self.device.type == "cuda" else []
            with torch.random.fork_rng(devices):
                torch.manual_seed(seed)
                self._drop(True)
                try:
                    return self._answer(batch)
                finally:
                    self._drop(False)

    def _answer(self, batch: Tensor) -> np.ndarray:
        return finite(self.network(batch).cpu().numpy(), self.where)

    def _drop(self, on: bool) -> None:
        for layer in self.dropout:
            layer.train(on)
