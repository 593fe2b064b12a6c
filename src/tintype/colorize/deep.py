"""16 bits a channel in color, which Pillow neither reads nor writes: out of its parts."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, PngImagePlugin, TiffImagePlugin

from tintype.colorize.photo import Photo
from tintype.data.reading import opened

SWAPPED = {";16B": ";16L", ";16L": ";16B", ";16N": ";16B" if np.little_endian else ";16L"}
"""Pillow keeps one byte of two, by the order that a raw mode ends in: the other order's is the other byte."""
PLANES = ("R", "G", "B", "A")
KINDS = ("RGB", "RGBX", "RGBA", "R", "G", "B", "A")
"""Raw modes, before that end, whose channels stand for themselves."""
BITS = TiffImagePlugin.BITSPERSAMPLE
PLANAR, SEPARATE = TiffImagePlugin.PLANAR_CONFIGURATION, 2
UP = 2
"""PNG, 9.2: each row less the row above."""


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


def png16(photo: Photo, metadata: dict[str, Any]) -> bytes:
    """A PNG of 16 bits a channel.

    Pillow makes it for one pixel, with all that goes beside the pixels; the photo's take that pixel's place.

    Args:
        photo: of uint16.
        metadata: options of Pillow's for a PNG.
    """
    pixels = with_alpha(photo)
    height, width = pixels.shape[:2]
    kind = {1: 0, 3: 2, 4: 6}[pixels.shape[2]]
    header = b"".join(side.to_bytes(4, "big") for side in (width, height)) + bytes([16, kind, 0, 0, 0])
    file = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    file.seek(0, io.SEEK_END)
    for name, data, _ in PngImagePlugin.getchunks(Image.new("RGB", (1, 1)), **metadata):
        own = {b"IHDR": [header], b"IDAT": [_compressed(pixels)]}.get(name, [data])
        PngImagePlugin.putchunk(file, name, *own)
    return file.getvalue()


def _compressed(pixels: np.ndarray) -> bytes:
    """The stream of a PNG's rows, some at a time."""
    rows = pixels.astype(">u2").reshape(len(pixels), -1).view(np.uint8)
    stream, out, above = zlib.compressobj(4), [], np.zeros_like(rows[0])
    for start in range(0, len(rows), 64):
        strip = rows[start : start + 64]
        filtered = np.empty((len(strip), rows.shape[1] + 1), np.uint8)
        filtered[:, 0] = UP
        filtered[:, 1:] = strip - np.vstack([above[None], strip[:-1]])
        above = strip[-1]
        out.append(stream.compress(filtered.tobytes()))
    return b"".join([*out, stream.flush()])


def with_alpha(photo: Photo) -> np.ndarray:
    """(H, W, channels) of the photo's type: 1, 3, or 4 with transparency."""
    pixels = photo.pixels if photo.pixels.ndim == 3 else photo.pixels[..., None]
    if photo.alpha is None:
        return pixels
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    alpha = photo.alpha.astype(np.uint16) * 257 if pixels.dtype == np.uint16 else photo.alpha
    return np.dstack([pixels, alpha])
