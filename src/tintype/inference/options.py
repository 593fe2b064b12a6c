"""Options of colorization."""

from __future__ import annotations

from dataclasses import dataclass

from tintype.errors import UserError
from tintype.images.decoding import MAX_PIXELS

MAX_SATURATION = 10
MAX_SIZE = 4096


@dataclass(frozen=True)
class Options:
    """Options of a `tintype.inference.colorizer.Colorizer`. They are immutable, see its `with_options`.

    Raises:
        UserError: an option is out of range.
    """

    size: int | None = None
    """Short side of what the network sees, in pixels. None: the side of its training photos, which is the minimum.

    A larger size gives finer color, but the network then sees photos that are less like those it learned from.
    """
    batch_size: int = 8
    """Number of photos that the network sees at a time."""
    saturation: float = 1.0
    """Factor of the chroma: 0 is gray, 1 is as predicted."""
    keep_color: bool = False
    """Return color photos unchanged. Otherwise they are recolored, and their own colors are ignored."""
    max_pixels: int = MAX_PIXELS
    """Photo files with more pixels are refused before they are decoded."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UserError(f"batch_size {self.batch_size}: allowed: at least 1")
        if self.size is not None and self.size > MAX_SIZE:
            raise UserError(f"size {self.size}: allowed: up to {MAX_SIZE}")
        if not 0 <= self.saturation <= MAX_SATURATION:
            raise UserError(f"saturation {self.saturation}: allowed: 0 to {MAX_SATURATION}")
