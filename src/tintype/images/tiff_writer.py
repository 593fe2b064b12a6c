"""Writer for TIFFs that Pillow does not write: with 16 bits per channel, or compressed and with EXIF."""

from __future__ import annotations

import io
import zlib
from itertools import accumulate
from typing import Any

import numpy as np
from PIL import Image, TiffTags
from PIL import TiffImagePlugin as Tiff

from tintype.images.iptc import IPTC_TAG
from tintype.images.photo import Photo

STRIP = 1 << 20
"""Approximate bytes of a strip before compression."""
RGB, GRAY = 2, 1
UNCOMPRESSED, DEFLATE = 1, 8
DIFFERENCES = 2
"""Predictor that stores each pixel minus the one to its left. TIFF 6.0, section 14."""
STRAIGHT_ALPHA = 2
INCH = 2


def encode_tiff(photo: Photo, metadata: dict[str, Any], *, compressed: bool) -> bytes:
    """Return a TIFF with 8 or 16 bits per channel.

    Pillow writes the directory, and this module writes the pixels. Pillow compresses with libtiff, which refuses EXIF
    and GPS data.

    Args:
        photo: of dtype uint8 or uint16.
        metadata: Pillow's options for a TIFF: exif, icc_profile, dpi; and iptc.
        compressed: whether the pixels are deflated.
    """
    pixels = photo.with_alpha
    height, width, channels = pixels.shape
    rows = max(1, STRIP // pixels[0].nbytes)
    strips = [_strip(pixels[top : top + rows], compressed) for top in range(0, height, rows)]
    sizes = [len(strip) for strip in strips]

    directory = Tiff.ImageFileDirectory_v2(prefix=b"II")
    exif = metadata.get("exif", b"")
    if isinstance(exif, bytes):
        content, exif = exif, Image.Exif()
        exif.load(content)
    for tag in exif:
        directory[tag] = exif.get_ifd(tag) if tag in TiffTags.TAGS_V2_GROUPS else exif[tag]
    directory[Tiff.IMAGEWIDTH], directory[Tiff.IMAGELENGTH] = width, height
    directory[Tiff.BITSPERSAMPLE] = (8 * pixels.itemsize,) * channels
    directory[Tiff.SAMPLESPERPIXEL] = channels
    directory[Tiff.PLANAR_CONFIGURATION] = 1
    directory[Tiff.PHOTOMETRIC_INTERPRETATION] = GRAY if channels == 1 else RGB
    if channels == 4:
        directory[Tiff.EXTRASAMPLES] = STRAIGHT_ALPHA
    directory[Tiff.COMPRESSION] = DEFLATE if compressed else UNCOMPRESSED
    if compressed:
        directory[Tiff.PREDICTOR] = DIFFERENCES
    directory[Tiff.ROWSPERSTRIP] = rows
    directory.tagtype[Tiff.STRIPOFFSETS] = directory.tagtype[Tiff.STRIPBYTECOUNTS] = TiffTags.LONG
    directory[Tiff.STRIPBYTECOUNTS] = tuple(sizes)
    directory[Tiff.STRIPOFFSETS] = tuple(accumulate(sizes[:-1], initial=0))  # the directory adds its own length
    if "dpi" in metadata:
        directory[Tiff.RESOLUTION_UNIT] = INCH
        directory[Tiff.X_RESOLUTION], directory[Tiff.Y_RESOLUTION] = metadata["dpi"]
    if "icc_profile" in metadata:
        directory[Tiff.ICCPROFILE] = metadata["icc_profile"]

    if "iptc" in metadata:
        directory.tagtype[IPTC_TAG] = TiffTags.UNDEFINED
        directory[IPTC_TAG] = metadata["iptc"]

    file = io.BytesIO()
    directory.save(file)
    file.write(b"".join(strips))
    return file.getvalue()


def _strip(rows: np.ndarray, compressed: bool) -> bytes:
    rows = rows.astype(rows.dtype.newbyteorder("<"))
    if not compressed:
        return rows.tobytes()
    rows[:, 1:] -= rows[:, :-1].copy()
    return zlib.compress(rows.tobytes(), 6)
