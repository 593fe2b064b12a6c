"""Reading of a photo's metadata: EXIF, XMP, IPTC, texts, resolution, color profile, and how the file was stored.

What describes the photo is kept. What describes the old file, or is false of a photo in color, is not.
"""

from __future__ import annotations

import contextlib
from typing import Any

from PIL import Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin
from PIL.ExifTags import IFD, Base

from tintype.images.iptc import IPTC_RESOURCE, IPTC_TAG, kept_datasets
from tintype.images.xmp import XMP_TEXT, is_too_long, kept_properties

KEPT_TAGS = (
    Base.DocumentName,
    Base.PageName,
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


def metadata_of(
    image: Image.Image, file: Image.Image, exif: Image.Exif | None, *, turned: bool = False
) -> dict[str, Any]:
    """Return the Pillow values, by purpose, that `encode_photo` needs to write a photo the way its source was stored.

    Args:
        image: the upright image. What rotated it has also corrected its XMP.
        file: the image as it was opened.
        exif: what `exif_of` returned for `file`.
        turned: whether the image was rotated or mirrored after it was opened.
    """
    xmp = image.info.get("xmp")
    found: dict[str, Any] = {
        "xmp": kept_properties(xmp, turned=turned) if isinstance(xmp, bytes | str) else None,
        "iptc": kept_datasets(_iptc(file)),
        "texts": _texts(file),
        "comment": _comment(file),
        "icc": "icc_profile" in image.info,
        "unread": ("XMP",) if isinstance(xmp, bytes) and is_too_long(xmp) else (),
    }
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


def is_turned(image: Image.Image) -> bool:
    """Return whether an image is stored otherwise than upright.

    Args:
        image: not rotated yet.
    """
    with contextlib.suppress(Exception):  # EXIF is often broken
        stored = image.info.get("original_orientation")  # of a HEIF, whose decoder has rotated it
        return (stored or image.getexif().get(Base.Orientation, 1)) != 1
    return False


def _of_size(exif: Image.Exif, size: tuple[int, int]) -> Image.Exif:
    if details := exif.get_ifd(IFD.Exif):
        details |= {Base.ColorSpace: 1, Base.ExifImageWidth: size[0], Base.ExifImageHeight: size[1]}
    return exif


def _iptc(file: Image.Image) -> bytes | None:
    """Return the IPTC datasets of a JPEG (a Photoshop resource) or a TIFF (a tag), or None if there are none."""
    if isinstance(file, JpegImagePlugin.JpegImageFile):
        resources = file.info.get("photoshop")
        found = resources.get(IPTC_RESOURCE) if isinstance(resources, dict) else None
    elif isinstance(file, TiffImagePlugin.TiffImageFile):
        found = file.tag_v2.get(IPTC_TAG)
        if not found:
            with contextlib.suppress(Exception):  # a tag of the wrong type
                found = file.get_photoshop_blocks().get(IPTC_RESOURCE, {}).get("data")
        if isinstance(found, tuple):  # some programs store the bytes as 32-bit words
            with contextlib.suppress(Exception):
                found = b"".join(word.to_bytes(4, "little" if file.tag_v2.prefix == b"II" else "big") for word in found)
    else:
        found = None
    return found if isinstance(found, bytes) else None


def _comment(file: Image.Image) -> bytes | None:
    """Return the comment of a JPEG or GIF. Several are joined by line breaks."""
    if isinstance(file, JpegImagePlugin.JpegImageFile):
        return b"\n".join(content for name, content in file.applist if name == "COM") or None
    comment = file.info.get("comment") if file.format == "GIF" else None
    return comment if isinstance(comment, bytes) else None


def _texts(file: Image.Image) -> dict[str, str]:
    """Return the texts of a PNG by keyword, without those that repeat other metadata or describe a thumbnail."""
    if not isinstance(file, PngImagePlugin.PngImageFile):
        return {}
    return {
        keyword: text
        for keyword, text in (file._text or {}).items()  # `text` itself would decode all frames of an animation
        if keyword != XMP_TEXT and not keyword.startswith(("Raw profile type ", "Thumb::"))
    }
