"""Image formats that are read, and formats that photos are written in."""

from __future__ import annotations

from typing import NamedTuple

from tintype.errors import UserError
from tintype.images.photo import Photo

# Detected by content, not by name. This is an allow-list because some of Pillow's other readers run programs (EPS:
# Ghostscript).
READABLE = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000")
"""Names of the formats in Pillow. HEIF is read, too: see `tintype.images.heif`."""
CONVERTED = {".gif": ".png", ".heic": ".jpg", ".heif": ".jpg", ".hif": ".jpg"} | dict.fromkeys(
    (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"), ".png"
)
"""Suffixes of the formats that are read but not written, and what their results' names end in."""
SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".avif", *CONVERTED})


class Format(NamedTuple):
    """A format that photos are written in."""

    pillow: str
    suffixes: tuple[str, ...]
    media_type: str
    holds_alpha: bool = True
    holds_16_bits: bool = False


WRITABLE = {
    "jpeg": Format("JPEG", (".jpg", ".jpeg", ".jfif"), "image/jpeg", holds_alpha=False),
    "png": Format("PNG", (".png",), "image/png", holds_16_bits=True),
    "webp": Format("WEBP", (".webp",), "image/webp"),
    "tiff": Format("TIFF", (".tif", ".tiff"), "image/tiff", holds_16_bits=True),
    "avif": Format("AVIF", (".avif",), "image/avif"),
    "bmp": Format("BMP", (".bmp",), "image/bmp"),
}
SAME = "same"
_OF_PILLOW = {format.pillow: name for name, format in WRITABLE.items()} | {"MPO": "jpeg", "HEIF": "jpeg"}
"""Format by Pillow's name.

An MPO is a JPEG with further pictures after the first: those of a 3D camera, or a phone's previews.
"""


def format_of(photo: Photo, wanted: str = SAME) -> str:
    """Return the format, a key of `WRITABLE`, in which `encode_photo` writes a photo.

    ``same`` is the photo's own format. It is JPEG for a HEIC; it is PNG for a GIF, whose 256 colors would not be
    enough, for a JPEG 2000, which may have 16 bits, and for photos that come from no file.

    Raises:
        UserError: there is no format `wanted`.
    """
    if wanted == SAME:
        return _OF_PILLOW.get(photo.format or "", "png")
    if wanted not in WRITABLE:
        raise UserError(f"format {wanted!r}: allowed: {', '.join((SAME, *WRITABLE))}")
    return wanted
