"""Encoding of photos into the bytes of a file, stored the way the source was."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from tintype.images.formats import SAME, WRITABLE, format_of
from tintype.images.metadata_writing import save_options
from tintype.images.photo import Photo, on_white
from tintype.images.png16_writer import png16
from tintype.images.tiff_writer import encode_tiff


def encode_photo(photo: Photo, wanted: str = SAME) -> bytes:
    """Return the photo as the bytes of a file.

    Metadata that describes the photo is kept: EXIF (orientation upright, without the thumbnail, which shows the
    original photo), XMP, IPTC, comments, texts and resolution. `lost_metadata` tells what the format cannot hold. If
    the source had a color profile, the sRGB profile is embedded. Pixels are reduced to what the format holds: 16 bits
    to 8 (all formats but PNG and TIFF), transparency to white (JPEG).

    A JPEG is encoded with the source's own quantization tables. Measured on ImageNet photos, L* is then closer to the
    source's (mean error 0.17 for a source of quality 75) than with quality 90 (0.37) or 95 (0.20). The file is smaller,
    too, because most coefficients are the old ones again. Chroma subsampling follows the source. A gray source gets
    none (4:4:4), which costs a quarter of the bytes and keeps colors within their edges.

    Args:
        photo: as returned by `read_photo`, with other pixels.
        wanted: ``same``, or a key of `WRITABLE`.
    Raises:
        UserError: there is no such format.
        ValueError: the format cannot hold a photo of that size; the message says so.
    """
    name = format_of(photo, wanted)
    format, metadata = WRITABLE[name], save_options(photo.metadata, name).options
    if not (format.holds_16_bits and photo.pixels.dtype == np.uint16):
        photo = photo.with_pixels(photo.in_8_bits)
    if name == "tiff":
        return encode_tiff(photo, metadata, compressed=photo.metadata.get("compression") != "raw")
    if photo.pixels.dtype == np.uint16:
        return png16(photo, metadata)
    image = photo.to_image()
    if photo.alpha is not None and not format.holds_alpha:
        image = on_white(image)
    file = io.BytesIO()
    try:
        image.save(file, format.pillow, **metadata, **_compression(photo, name))
    except (OSError, ValueError, OverflowError) as error:
        raise ValueError(f"cannot be written as {name}: {error}") from error
    return file.getvalue()


def lost_metadata(photo: Photo, wanted: str = SAME) -> tuple[str, ...]:
    """Return the names of the metadata that a photo has and that `encode_photo` cannot write in a format."""
    return save_options(photo.metadata, format_of(photo, wanted)).lost


def _compression(photo: Photo, name: str) -> dict[str, Any]:
    """Return Pillow's options for how the pixels are stored."""
    if name == "jpeg" and "qtables" in photo.metadata:
        return {"qtables": photo.metadata["qtables"], "subsampling": photo.metadata.get("subsampling", 0)}
    if name == "jpeg":
        return {"quality": 95, "subsampling": 0}
    if name == "webp":
        return {"quality": 95, "method": 4, "exact": True}
    if name == "avif":
        return {"quality": 90, "subsampling": "4:4:4"}
    return {}
