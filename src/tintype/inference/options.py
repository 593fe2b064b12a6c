"""What a caller may choose about coloring."""

from __future__ import annotations

from dataclasses import dataclass

from tintype.errors import UserError
from tintype.images.decoding import MAX_PIXELS

MAX_SATURATION = 10


@dataclass(frozen=True)
class Options:
    """Options of a `tintype.inference.colorizer.Colorizer`; they never change, see its `with_options`.

    Raises:
        UserError: one of them is out of range.
    """

    size: int | None = None
    """Short side of what the network sees, pixels; None: the side of its training photos, which is the least.

    Larger: finer color, but what it sees is less like what it has learned."""
    batch_size: int = 8
    """How many photos the network sees at a time."""
    saturation: float = 1.0
    """The chroma is multiplied by it; 0 is gray, 1 as predicted."""
    keep_color: bool = False
    """Give color photos back as they are; else they are recolored, and their colors not looked at."""
    max_pixels: int = MAX_PIXELS
    """Photos in files that have more are refused before they are decoded."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UserError(f"batch_size {self.batch_size}: allowed: at least 1")
        if not 0 <= self.saturation <= MAX_SATURATION:
            raise UserError(f"saturation {self.saturation}: allowed: 0 to {MAX_SATURATION}")
