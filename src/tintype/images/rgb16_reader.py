"""Reader for color images with 16 bits per channel.

Pillow reads only 8 of the 16 bits, and takes separate 16-bit planes for 8-bit ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, TiffImagePlugin

from tintype.images.opening import opened

SWAPPED = {";16B": ";16L", ";16L": ";16B", ";16N": ";16B" if np.little_endian else ";16L"}
"""Byte orders at the end of raw modes, swapped.

Pillow keeps one byte of two, chosen by the byte order. The swapped order gives the other byte.
"""
PLANES = ("R", "G", "B", "A")
KINDS = ("RGB", "RGBX", "RGBA", "R", "G", "B", "A")
"""Raw modes, without the byte order, whose channels are stored as they are."""
BITS = TiffImagePlugin.BITSPERSAMPLE
PLANAR, SEPARATE = TiffImagePlugin.PLANAR_CONFIGURATION, 2


def mend_planes(image: Image.Image) -> None:
    """Make Pillow read an uncompressed 16-bit TIFF with separate planes correctly: it takes the planes for 8-bit ones.

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
    """Return the low bytes of 16-bit RGB, which Pillow drops.

    Args:
        source: the photo's file.
        tiles: `tile` of the image opened from it, taken before the image was loaded.
        max_pixels: the limit with which it was opened.
        turn: rotates an image upright, in place.
    Returns:
        (H, W, 3) uint8, or None if the photo is not 16-bit RGB or RGBA.
    """
    swapped = [_swapped(tile) for tile in tiles]
    if not swapped or None in swapped:
        return None
    if not isinstance(source, Path):
        source.seek(0)
    with opened(source, max_pixels) as image:
        compressed = any(tile.codec_name == "libtiff" for tile in tiles)
        if isinstance(image, TiffImagePlugin.TiffImageFile) and compressed and image.tag_v2.get(PLANAR) == SEPARATE:
            return None  # libtiff's decoder merges the planes and keeps the high bytes
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
