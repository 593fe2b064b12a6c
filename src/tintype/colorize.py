"""A trained generator applied to a photo of any size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tintype.color import SPACES, lab_to_rgb, rgb_to_lab, to_uint8
from tintype.models import load_generator


class Colorizer:
    """Gives a photo its colours back.

    The generator works at its own size; its chroma is enlarged and joined to the photo's own full-size lightness, so
    that nothing of the photo's sharpness is lost.
    """

    def __init__(
        self, generator: nn.Module, image_size: int, space: str = "lab", device: torch.device | str = "cpu"
    ) -> None:
        self.generator = generator
        self.space = SPACES[space]
        self.image_size = image_size
        self.device = torch.device(device)

    @classmethod
    def load(cls, folder: Path | str, device: torch.device | str = "cpu") -> Colorizer:
        """From a folder with ``generator.safetensors`` and ``generator.json``, as the train stage leaves it."""
        generator, card = load_generator(Path(folder), device=device)
        return cls(generator, card.image_size, card.generator.space, device)

    @torch.inference_mode()
    def __call__(self, photo: np.ndarray) -> np.ndarray:
        """Colorize one photo.

        Args:
            photo: (H, W), (H, W, 1) or (H, W, 3) uint8, gray or sRGB; the colours of an RGB photo are not looked at.
        Returns:
            (H, W, 3) uint8 sRGB.
        Raises:
            ValueError: for any other shape or type.
        """
        lab = rgb_to_lab(self._rgb(photo))
        L = lab[:, :1]
        gray = torch.cat([L, torch.zeros_like(lab[:, 1:])], dim=1)
        lightness, _ = self.space.split(F.interpolate(gray, (self.image_size,) * 2, mode="bilinear", antialias=True))
        ab = self.space.to_lab(lightness, self.generator(lightness).chroma.float())[:, 1:]
        if ab.shape[-2:] != L.shape[-2:]:
            ab = F.interpolate(ab, L.shape[-2:], mode="bicubic")
        rgb = to_uint8(lab_to_rgb(torch.cat([L, ab], dim=1)))
        return rgb[0].permute(1, 2, 0).cpu().numpy()

    def _rgb(self, photo: np.ndarray) -> Tensor:
        if photo.dtype != np.uint8 or photo.ndim not in (2, 3) or (photo.ndim == 3 and photo.shape[2] not in (1, 3)):
            raise ValueError(
                f"a photo of shape {photo.shape} and type {photo.dtype}; "
                "allowed: (H, W), (H, W, 1) or (H, W, 3) of uint8"
            )
        planes = photo[..., None] if photo.ndim == 2 else photo
        rgb = np.broadcast_to(planes, (*planes.shape[:2], 3))
        return torch.from_numpy(rgb.copy()).to(self.device).permute(2, 0, 1)[None].float() / 255
