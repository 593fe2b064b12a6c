"""A photo in memory, whatever its source."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from tintype.color.lab_numpy import FULL_SCALE
from tintype.config import Filter
from tintype.images.grayscale import is_gray
from tintype.images.strips import STRIP


@dataclass(frozen=True)
class Photo:
    """Pixels, upright and in sRGB, and their metadata."""

    pixels: np.ndarray
    """(H, W) gray or (H, W, 3) color, sRGB-coded; uint8, uint16, or float32 in [0, 1]."""
    alpha: np.ndarray | None = None
    """(H, W) uint8, or None if the photo is opaque."""
    format: str | None = None
    """Pillow's name of the file's format, or None if the photo comes from no file."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """Metadata of the file, which `tintype.images.encoding.encode_photo` writes again."""
    warnings: tuple[str, ...] = ()
    """What the user should know of how the file was read, one line each."""

    def __post_init__(self) -> None:
        known = self.pixels.dtype.name in ("uint8", "uint16", "float32")
        if not known or not (self.pixels.ndim == 2 or self.pixels.shape[2:] == (3,)) or 0 in self.pixels.shape:
            raise ValueError(
                f"a photo of shape {self.pixels.shape} and type {self.pixels.dtype}; allowed: (H, W), (H, W, 1) or "
                "(H, W, 3) of uint8, uint16 or floats in [0, 1]"
            )

    @classmethod
    def of_array(cls, array: np.ndarray) -> Photo:
        """Make a photo of an array: (H, W), (H, W, 1) or (H, W, 3), uint8, uint16 or floats in [0, 1]."""
        pixels = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
        if np.issubdtype(pixels.dtype, np.floating):
            if not (np.isfinite(pixels).all() and pixels.min(initial=0) >= 0 and pixels.max(initial=1) <= 1):
                raise ValueError("a photo of floats outside [0, 1]; divide by what white is in it")
            pixels = pixels.astype(np.float32)
        return cls(pixels)

    @property
    def has_color(self) -> bool:
        """Whether the photo has color.

        The rule is the one that keeps gray photos out of a project's training, at its default threshold.
        """
        if self.pixels.ndim == 2:
            return False
        height, width = self.pixels.shape[:2]
        side = max(1, round((height * width) ** 0.5 / 128))  # of the blocks that the rule averages
        rows = side * max(1, STRIP // (side * width))
        scale = np.float32(255 / FULL_SCALE[self.pixels.dtype.name])
        strips = (self.pixels[top : top + rows] for top in range(0, height, rows))
        small = [Image.fromarray((strip * scale + np.float32(0.5)).astype(np.uint8)).reduce(side) for strip in strips]
        return not is_gray(np.vstack([np.asarray(one) for one in small]), Filter.model_validate({}).chroma_threshold)

    def with_pixels(self, pixels: np.ndarray) -> Photo:
        """Return the same photo with other pixels."""
        return replace(self, pixels=pixels)

    def with_warnings(self, *warnings: str) -> Photo:
        """Return the same photo with these warnings."""
        return replace(self, warnings=warnings) if warnings else self

    @property
    def in_8_bits(self) -> np.ndarray:
        """The pixels as uint8."""
        if self.pixels.dtype == np.uint16:
            return ((self.pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
        if self.pixels.dtype == np.float32:
            return (self.pixels * np.float32(255) + np.float32(0.5)).astype(np.uint8)
        return self.pixels

    @property
    def with_alpha(self) -> np.ndarray:
        """(H, W, channels) of the pixels' dtype: 1 or 3 channels, or 4 with transparency."""
        if self.alpha is None:
            return self.pixels if self.pixels.ndim == 3 else self.pixels[..., None]
        alpha = self.alpha.astype(np.uint16) * 257 if self.pixels.dtype == np.uint16 else self.alpha
        return np.dstack([as_rgb(self.pixels), alpha])

    def to_image(self) -> Image.Image:
        """Return an 8-bit image of mode L or RGB, or LA or RGBA with transparency."""
        image = Image.fromarray(self.in_8_bits)
        if self.alpha is not None:
            image.putalpha(Image.fromarray(self.alpha))
        return image


def as_rgb(pixels: np.ndarray) -> np.ndarray:
    """Return pixels (H, W) or (H, W, 3) as (H, W, 3). Gray is repeated."""
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


def on_white(image: Image.Image) -> Image.Image:
    """Composite an image over white. The result has mode L or RGB."""
    if not image.mode.endswith("A"):
        return image
    opaque = image.convert(image.mode[:-1])
    return Image.composite(opaque, Image.new(opaque.mode, image.size, "white"), image.getchannel("A"))
