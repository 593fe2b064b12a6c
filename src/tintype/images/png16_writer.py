"""Writer for color PNGs with 16 bits per channel, which Pillow does not write."""

from __future__ import annotations

import io
import zlib
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from tintype.images.photo import Photo

UP = 2
"""The filter type Up (PNG, 9.2): each row minus the row above."""


def png16(photo: Photo, metadata: dict[str, Any]) -> bytes:
    """Return a PNG with 16 bits per channel.

    Pillow writes a PNG of one pixel with all metadata. The photo's pixels then replace that pixel.

    Args:
        photo: of dtype uint16.
        metadata: Pillow's options for a PNG.
    """
    pixels = photo.with_alpha
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
    """Filter and compress the rows of a PNG, some at a time."""
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
