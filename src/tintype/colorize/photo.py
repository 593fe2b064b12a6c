"""A photo in memory, whatever it came as."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from tintype.colorize.joining import FULL_SCALE, STRIP
from tintype.config import Filter
from tintype.data.curation import is_gray


@dataclass(frozen=True)
class Photo:
    """Pixels as they should look, and what came with them."""

    pixels: np.ndarray
    """(H, W) gray or (H, W, 3) color, sRGB-coded; uint8, uint16, or float32 in [0, 1]."""
    alpha: np.ndarray | None = None
    """(H, W) uint8, None where the photo is opaque."""
    format: str | None = None
    """Pillow's name of the file's format, None for what was no file."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """Of the file, as `tintype.colorize.files.encode` writes it again."""

    def __post_init__(self) -> None:
        known = self.pixels.dtype.name in ("uint8", "uint16", "float32")
        if not known or not (self.pixels.ndim == 2 or self.pixels.shape[2:] == (3,)) or 0 in self.pixels.shape:
            raise ValueError(
                f"a photo of shape {self.pixels.shape} and type {self.pixels.dtype}; allowed: (H, W), (H, W, 1) or "
                "(H, W, 3) of uint8, uint16 or floats in [0, 1]"
            )

    @classmethod
    def of_array(cls, array: np.ndarray) -> Photo:
        """An array as people have them: (H, W), (H, W, 1) or (H, W, 3); uint8, uint16, or floats in [0, 1]."""
        pixels = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
        if np.issubdtype(pixels.dtype, np.floating):
            if not (np.isfinite(pixels).all() and pixels.min(initial=0) >= 0 and pixels.max(initial=1) <= 1):
                raise ValueError("a photo of floats outside [0, 1]; divide by what white is in it")
            pixels = pixels.astype(np.float32)
        return cls(pixels)

    @property
    def has_color(self) -> bool:
        """Whether it has: by the rule that keeps gray photos out of a project's training, at its default threshold."""
        if self.pixels.ndim == 2:
            return False
        height, width = self.pixels.shape[:2]
        side = max(1, round((height * width) ** 0.5 / 128))  # of the blocks that the rule looks at
        rows = side * max(1, STRIP // (side * width))
        scale = np.float32(255 / FULL_SCALE[self.pixels.dtype.name])
        strips = (self.pixels[top : top + rows] for top in range(0, height, rows))
        small = [Image.fromarray((strip * scale + np.float32(0.5)).astype(np.uint8)).reduce(side) for strip in strips]
        return not is_gray(np.vstack([np.asarray(one) for one in small]), Filter.model_validate({}).chroma_threshold)

    def with_pixels(self, pixels: np.ndarray) -> Photo:
        """The same photo, other pixels."""
        return replace(self, pixels=pixels)
