"""Photos in files: read as they should look, written back as they came."""

from __future__ import annotations

import contextlib
import io
from functools import cache
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from PIL import Image, ImageCms, ImageOps, JpegImagePlugin, TiffImagePlugin
from PIL.ExifTags import IFD, Base
from PIL.PngImagePlugin import PngInfo

from tintype.colorize.deep import low_bytes, mend_planes, png16
from tintype.colorize.photo import Photo
from tintype.colorize.profiles import gray16_in_srgb, rgb16_in_srgb
from tintype.colorize.tiff import encode_tiff
from tintype.config import ConfigError
from tintype.data.reading import OVER_PIXEL_LIMIT, UNREADABLE, UnreadablePhoto, in_srgb, opened, to_srgb

MAX_PIXELS = 250_000_000
"""Of a photo that is read without being told otherwise."""
PHOTOMETRIC, WHITE_IS_ZERO = TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, 0
ONE_SEGMENT = 65_504
"""Bytes of EXIF or XMP that a JPEG can hold."""

KEPT_TAGS = (
    Base.ImageDescription,
    Base.Make,
    Base.Model,
    Base.Software,
    Base.DateTime,
    Base.Artist,
    Base.HostComputer,
    Base.Copyright,
    Base.Rating,
    Base.XPTitle,
    Base.XPComment,
    Base.XPAuthor,
    Base.XPKeywords,
    Base.XPSubject,
)
"""What says something of the photo; all others say how the file was stored, and the answer is stored in its own way."""


class Format(NamedTuple):
    """A format that photos are written in."""

    pillow: str
    suffixes: tuple[str, ...]
    media_type: str
    holds_alpha: bool = True
    holds_16_bits: bool = False


FORMATS = {
    "jpeg": Format("JPEG", (".jpg", ".jpeg", ".jfif"), "image/jpeg", holds_alpha=False),
    "png": Format("PNG", (".png",), "image/png", holds_16_bits=True),
    "webp": Format("WEBP", (".webp",), "image/webp"),
    "tiff": Format("TIFF", (".tif", ".tiff"), "image/tiff", holds_16_bits=True),
    "avif": Format("AVIF", (".avif",), "image/avif"),
    "bmp": Format("BMP", (".bmp",), "image/bmp"),
}
SAME = "same"
_OF_PILLOW = {format.pillow: name for name, format in FORMATS.items()} | {"MPO": "jpeg"}
"""An MPO is a JPEG with further pictures behind the first: those of a 3D camera, or a phone's previews."""


def read(source: str | Path | IO[bytes] | Image.Image, max_pixels: int = MAX_PIXELS) -> Photo:
    """Read a photo as it should look.

    Turned upright by its EXIF orientation, its colors brought to sRGB by its profile, an animation's first frame.
    Gray stays gray, 16 bits a channel stay 16, transparency stays.

    Args:
        source: a file, its content (left open), or what Pillow made of one (left as it is).
        max_pixels: larger ones are refused by their header, before any decoding.
    Raises:
        UnreadablePhoto: whatever is wrong with the file.
    """
    if isinstance(source, Image.Image):
        return _of_pillow(source, max_pixels)
    source = Path(source) if isinstance(source, str) else source
    with opened(source, max_pixels) as image:
        mend_planes(image)
        tiles, exif = list(image.tile), _exif(image)  # loading empties the one and closes the file behind the other
        image.load()
        _turn(image)
        low = low_bytes(source, tiles, max_pixels, _turn)
        return _photo(image, low, image, _found(image, image, exif))


def as_image(photo: Photo) -> Image.Image:
    """The photo in 8 bits: mode L or RGB, with transparency LA or RGBA."""
    image = Image.fromarray(_in_8_bits(photo.pixels))
    if photo.alpha is not None:
        image.putalpha(Image.fromarray(photo.alpha))
    return image


def on_white(image: Image.Image) -> Image.Image:
    """Without its transparency, which shows white: mode L or RGB."""
    if not image.mode.endswith("A"):
        return image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert(image.mode[:-1])


def format_of(photo: Photo, wanted: str = SAME) -> str:
    """The format, a key of `FORMATS`, in which `encode` writes a photo.

    ``same`` is the photo's own; PNG for a GIF, whose 256 colors would not do, and for what came from no file.

    Raises:
        ConfigError: `wanted` is none.
    """
    if wanted == SAME:
        return _OF_PILLOW.get(photo.format or "", "png")
    if wanted not in FORMATS:
        raise ConfigError(f"format {wanted!r}: allowed: {', '.join((SAME, *FORMATS))}")
    return wanted


def encode(photo: Photo, wanted: str = SAME) -> bytes:
    """A photo as the bytes of a file.

    EXIF goes with it (upright, without the thumbnail, which shows the photo as it was), XMP and resolution too; where
    the source had a color profile, sRGB's is embedded. What a format cannot hold is lowered: 16 bits to 8 (all but PNG
    and TIFF), transparency to white (JPEG).

    A JPEG is coded by the source's own quantization tables: measured on ImageNet photos, L* then comes out nearer to
    the source's (mean error 0.17 for one of quality 75) than by quality 90 (0.37) or 95 (0.20), in a smaller file, as
    most coefficients are the old ones again. Its chroma is subsampled as the source's was; a gray source's is not
    (4:4:4), which costs a quarter of the bytes and keeps colors within their edges.

    Args:
        photo: as `read` gave it, and with other pixels.
        wanted: ``same``, or a key of `FORMATS`.
    Raises:
        ConfigError: there is no such format.
        ValueError: the format cannot hold a photo of that size; the message says so.
    """
    name = format_of(photo, wanted)
    format, metadata = FORMATS[name], _metadata(photo.metadata, name)
    if not (format.holds_16_bits and photo.pixels.dtype == np.uint16):
        photo = photo.with_pixels(_in_8_bits(photo.pixels))
    if name == "tiff":
        return encode_tiff(photo, metadata, compressed=photo.metadata.get("compression") != "raw")
    if photo.pixels.dtype == np.uint16:
        return png16(photo, metadata)
    image = as_image(photo)
    if photo.alpha is not None and not format.holds_alpha:
        image = on_white(image)
    file = io.BytesIO()
    try:
        image.save(file, format.pillow, **metadata, **_compression(photo, name))
    except (OSError, ValueError, OverflowError) as error:
        raise ValueError(f"cannot be written as {name}: {error}") from error
    return file.getvalue()


def _of_pillow(image: Image.Image, max_pixels: int) -> Photo:
    if image.width * image.height > max_pixels:
        raise UnreadablePhoto(OVER_PIXEL_LIMIT)
    try:
        turned = image.copy()
        with contextlib.suppress(Exception):
            turned = ImageOps.exif_transpose(image)
    except OSError as error:  # Pillow decodes late: the file behind may be broken
        raise UnreadablePhoto(UNREADABLE) from error
    return _photo(turned, None, image, _found(turned, image, _exif(image)))


def _turn(image: Image.Image) -> None:
    with contextlib.suppress(Exception):  # EXIF is often broken; in place, the pixels turn before it is rewritten
        ImageOps.exif_transpose(image, in_place=True)


def _photo(image: Image.Image, low: np.ndarray | None, file: Image.Image, metadata: dict[str, Any]) -> Photo:
    """An upright, decoded image; `low` are the low bytes of 16-bit RGB, (H, W, 3); `file` is what was opened."""
    if image.mode == "F":  # floats: their range is anybody's guess
        raise UnreadablePhoto(UNREADABLE)
    profile, key, format = image.info.get("icc_profile"), image.info.get("transparency"), file.format
    if image.mode.startswith("I"):  # I;16 and its kin, and I: 16-bit gray in 32
        wide = np.asarray(image)
        if wide.min() < 0 or wide.max() > 65535:  # as of floats
            raise UnreadablePhoto(UNREADABLE)
        gray, alpha = wide.astype(np.uint16), _keyed(wide[..., None], key)
        if isinstance(file, TiffImagePlugin.TiffImageFile) and file.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO:
            gray = 65535 - gray  # Pillow inverts 8 bits, not 16
        return Photo(gray16_in_srgb(gray, profile) if profile else gray, alpha, format, metadata)
    if low is not None and image.mode == "RGB":
        pixels = np.asarray(image, np.uint16) << 8 | low
        alpha = _keyed(pixels, key)
        return Photo(rgb16_in_srgb(pixels, profile) if profile else pixels, alpha, format, metadata)
    alpha = None
    if image.has_transparency_data or image.mode in ("LA", "La"):
        image = image.convert("L") if image.mode == "1" else image
        image = image.convert("LA" if image.mode in ("L", "LA", "La") else "RGBA")
        alpha = np.array(image.getchannel("A"))
        alpha = None if (alpha == 255).all() else alpha
        image = image.convert(image.mode[:-1])
    if image.mode == "1":
        image = image.convert("L")
    if image.mode == "L":
        known = profile and to_srgb(profile, "L")
        return Photo(np.array(in_srgb(image, profile).getchannel(1) if known else image), alpha, format, metadata)
    if low is not None:
        pixels = np.asarray(image, np.uint16) << 8 | low
        return Photo(rgb16_in_srgb(pixels, profile) if profile else pixels, alpha, format, metadata)
    return Photo(
        np.array(in_srgb(image.convert("RGB") if image.mode == "P" else image, profile)), alpha, format, metadata
    )


def _keyed(pixels: np.ndarray, key: Any) -> np.ndarray | None:
    """Transparency of 16-bit (H, W, channels) of which one color is none (PNG's tRNS); Pillow compares 8 bits."""
    clear = np.zeros(pixels.shape[:2], bool) if key is None else (pixels == key).all(axis=2)
    return np.where(clear, 0, 255).astype(np.uint8) if clear.any() else None


def _found(image: Image.Image, file: Image.Image, exif: Image.Exif | None) -> dict[str, Any]:
    """What `encode` needs to write a photo as it came: values of Pillow's, by what they are for.

    Args:
        image: upright; what turned it has turned its XMP.
        file: as it was opened.
        exif: `_exif`'s, of the latter.
    """
    found: dict[str, Any] = {"xmp": image.info.get("xmp"), "icc": "icc_profile" in image.info}
    with contextlib.suppress(Exception):  # values that EXIF's own types cannot hold
        found["exif"] = _of_size(exif, image.size).tobytes() if exif else None
    with contextlib.suppress(Exception):  # a resolution of 0/0, or no pair at all
        x, y = (float(value) for value in image.info["dpi"])
        if min(x, y) >= 1 and max(x, y) < 65536:
            found["dpi"] = x, y
    if isinstance(file, JpegImagePlugin.JpegImageFile):
        found["qtables"] = [file.quantization[key] for key in sorted(file.quantization)]
        found["subsampling"] = max(JpegImagePlugin.get_sampling(file), 0)
    if isinstance(file, TiffImagePlugin.TiffImageFile):
        found["compression"] = file.info.get("compression")
    return {key: value for key, value in found.items() if value}


def _exif(image: Image.Image) -> Image.Exif | None:
    """EXIF for a photo's answer: upright, in sRGB, without what only the old file could mean; None where none is sound.

    Args:
        image: not loaded yet, which closes its file.
    """
    try:
        old, new = image.getexif(), Image.Exif()
        for tag in KEPT_TAGS:
            if tag in old:
                new[tag] = old[tag]
        details, place = dict(old.get_ifd(IFD.Exif)), dict(old.get_ifd(IFD.GPSInfo))
    except Exception:  # EXIF is often broken
        return None
    details.pop(IFD.Interop, None)  # Adobe RGB's mark
    for name, found in ((IFD.Exif, details), (IFD.GPSInfo, place)):
        if found:
            new.get_ifd(name).update(found)
    if not (len(new) or details or place):
        return None
    new[Base.Orientation] = 1
    return new


def _of_size(exif: Image.Exif, size: tuple[int, int]) -> Image.Exif:
    if details := exif.get_ifd(IFD.Exif):
        details |= {Base.ColorSpace: 1, Base.ExifImageWidth: size[0], Base.ExifImageHeight: size[1]}
    return exif


def _metadata(found: dict[str, Any], name: str) -> dict[str, Any]:
    """Pillow's options for what goes with the pixels, in the format `name`."""
    options: dict[str, Any] = {}
    exif, xmp = found.get("exif"), found.get("xmp")
    xmp = xmp.encode() if isinstance(xmp, str) else xmp
    if name == "bmp":
        exif = xmp = None
    if name == "jpeg":
        exif, xmp = (part if part and len(part) <= ONE_SEGMENT else None for part in (exif, xmp))
    if exif:
        options["exif"] = exif
    if xmp and name == "png":
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
    elif xmp and name == "tiff":
        with_xmp = Image.Exif()
        if exif:
            with_xmp.load(exif)
        with_xmp[Base.XMLPacket] = xmp
        options["exif"] = with_xmp
    elif xmp:
        options["xmp"] = xmp
    if "dpi" in found and name in ("jpeg", "png", "tiff", "bmp"):
        options["dpi"] = found["dpi"]
    if "icc" in found and name != "bmp":
        options["icc_profile"] = srgb_profile()
    return options


def _compression(photo: Photo, name: str) -> dict[str, Any]:
    """Pillow's options for how the pixels are stored."""
    if name == "jpeg" and "qtables" in photo.metadata:
        return {"qtables": photo.metadata["qtables"], "subsampling": photo.metadata.get("subsampling", 0)}
    if name == "jpeg":
        return {"quality": 95, "subsampling": 0}
    if name == "webp":
        return {"quality": 95, "method": 4, "exact": True}
    if name == "avif":
        return {"quality": 90, "subsampling": "4:4:4"}
    return {}


def _in_8_bits(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint16:
        return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if pixels.dtype == np.float32:
        return (pixels * np.float32(255) + np.float32(0.5)).astype(np.uint8)
    return pixels


@cache
def srgb_profile() -> bytes:
    """An ICC profile of sRGB, the same whenever it is made."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes([7, 0xEA, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0])  # ICC.1:2022, 7.2.8: when it was made
    return bytes(profile)
