"""Metadata of a photo: EXIF, XMP, resolution, color profile, and how the file was stored."""

from __future__ import annotations

import contextlib
from typing import Any

from PIL import Image, JpegImagePlugin, TiffImagePlugin
from PIL.ExifTags import IFD, Base
from PIL.PngImagePlugin import PngInfo

from tintype.images.icc_profiles import srgb_profile

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
"""Tags that describe the photo.

All others describe how the source was stored, and the output is stored in its own way.
"""


def metadata_of(image: Image.Image, file: Image.Image, exif: Image.Exif | None) -> dict[str, Any]:
    """Return the Pillow values, by purpose, that `encode_photo` needs to write a photo the way its source was stored.

    Args:
        image: the upright image. What rotated it has also corrected its XMP.
        file: the image as it was opened.
        exif: what `exif_of` returned for `file`.
    """
    found: dict[str, Any] = {"xmp": image.info.get("xmp"), "icc": "icc_profile" in image.info}
    with contextlib.suppress(Exception):  # values that EXIF's types cannot hold
        found["exif"] = _of_size(exif, image.size).tobytes() if exif else None
    with contextlib.suppress(Exception):  # a resolution of 0/0, or not a pair
        x, y = (float(value) for value in image.info["dpi"])
        if min(x, y) >= 1 and max(x, y) < 65536:
            found["dpi"] = x, y
    if isinstance(file, JpegImagePlugin.JpegImageFile):
        found["qtables"] = [file.quantization[key] for key in sorted(file.quantization)]
        found["subsampling"] = max(JpegImagePlugin.get_sampling(file), 0)
    if isinstance(file, TiffImagePlugin.TiffImageFile):
        found["compression"] = file.info.get("compression")
    return {key: value for key, value in found.items() if value}


def exif_of(image: Image.Image) -> Image.Exif | None:
    """Return the EXIF for the output, or None if the source has no sound EXIF.

    The orientation is upright. Adobe RGB's mark is dropped, and so are tags that only describe the old file.

    Args:
        image: not loaded yet, because loading closes its file.
    """
    try:
        old, new = image.getexif(), Image.Exif()
        for tag in KEPT_TAGS:
            if tag in old:
                new[tag] = old[tag]
        details, place = dict(old.get_ifd(IFD.Exif)), dict(old.get_ifd(IFD.GPSInfo))
    except Exception:  # EXIF is often broken
        return None
    details.pop(IFD.Interop, None)  # marks Adobe RGB
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


def save_options(found: dict[str, Any], name: str) -> dict[str, Any]:
    """Return Pillow's options for the metadata in the format `name`."""
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
