"""16 bits a channel in color, of which Pillow reads 8: the other byte, and planes that it takes for 8-bit ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, TiffImagePlugin

from tintype.images.opening import opened

SWAPPED = {";16B": ";16L", ";16L": ";16B", ";16N": ";16B" if np.little_endian else ";16L"}
"""Pillow keeps one byte of two, by the order that a raw mode ends in: the other order's is the other byte."""
PLANES = ("R", "G", "B", "A")
KINDS = ("RGB", "RGBX", "RGBA", "R", "G", "B", "A")
"""Raw modes, before that end, whose channels stand for themselves."""
BITS = TiffImagePlugin.BITSPERSAMPLE
PLANAR, SEPARATE = TiffImagePlugin.PLANAR_CONFIGURATION, 2


def mend_planes(image: Image.Image) -> None:
    """Have Pillow read an uncompressed 16-bit TIFF that is stored plane by plane; it takes the planes for 8-bit ones.

    Args:
        image: not loaded yet.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(BITS, (0,))[0] == 16:
        order = ";16B" if image.tag_v2.prefix == b"MM" else ";16L"
        image.tile = [
            tile._replace(args=(tile.args[0] + order, *tile.args[1:])) if tile.args and tile.args[0] in PLANES else tile
            for tile in image.tile
        ]


def low_bytes(
    source: Path | IO[bytes], tiles: Sequence[Any], max_pixels: int, turn: Callable[[Image.Image], None]
) -> np.ndarray | None:
    """The bytes that Pillow leaves out of 16-bit RGB.

    Args:
        source: the photo's file.
        tiles: `tile` of the image that was opened from it, before it was loaded.
        max_pixels: as it was opened with.
        turn: turns an image upright, in place.
    Returns:
        (H, W, 3) uint8; None where the photo is not of 16 bits, in RGB or RGBA.
    """
    swapped = [_swapped(tile) for tile in tiles]
    if not swapped or None in swapped:
        return None
    if not isinstance(source, Path):
        source.seek(0)
    with opened(source, max_pixels) as image:
        compressed = any(tile.codec_name == "libtiff" for tile in tiles)
        if isinstance(image, TiffImagePlugin.TiffImageFile) and compressed and image.tag_v2.get(PLANAR) == SEPARATE:
            return None  # libtiff's decoder puts the planes together, and keeps the high bytes
        image.tile = swapped
        image.load()
        turn(image)
        return np.asarray(image)[..., :3] if image.mode in ("RGB", "RGBA") else None


def _swapped(tile: Any) -> Any:
    raw_mode, *others = (tile.args,) if isinstance(tile.args, str) else tile.args or ("",)
    kind, order = str(raw_mode)[:-4], str(raw_mode)[-4:]
    if kind not in KINDS or order not in SWAPPED:
        return None
    swapped = kind + SWAPPED[order]
    return tile._replace(args=swapped if isinstance(tile.args, str) else (swapped, *others))
