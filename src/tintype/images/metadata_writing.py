"""Writing of a photo's metadata: what each format holds, and what it cannot hold."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from PIL import Image
from PIL.ExifTags import IFD, Base
from PIL.PngImagePlugin import PngInfo, iTXt

from tintype.images.icc_profiles import srgb_profile
from tintype.images.iptc import photoshop_segment
from tintype.images.xmp import XMP_TEXT

SEGMENT = 65_533
"""Bytes of content that a segment of a JPEG can hold."""
ONE_SEGMENT = 65_504
"""Bytes of EXIF or XMP that a JPEG can hold: a segment without the name at its start."""


class SaveOptions(NamedTuple):
    """How to write a photo's metadata in one format."""

    options: dict[str, Any]
    """Options of Pillow, and ``iptc`` for `tintype.images.tiff_writer`."""
    lost: tuple[str, ...]
    """Names of what the photo has and the format cannot hold."""


def save_options(found: dict[str, Any], name: str) -> SaveOptions:
    """Return how to write metadata.

    Args:
        found: what `tintype.images.metadata.metadata_of` returned.
        name: a key of `tintype.images.formats.WRITABLE`.
    """
    options: dict[str, Any] = {}
    lost: list[str] = list(found.get("unread", ()))
    exif, xmp, iptc = found.get("exif"), found.get("xmp"), found.get("iptc")
    longest = {"bmp": 0, "jpeg": ONE_SEGMENT}.get(name, math.inf)
    if exif and len(exif) > longest and len(smaller := _without_maker_notes(exif)) <= longest:
        exif = smaller
        lost.append("maker notes")
    if exif and len(exif) > longest:
        exif = None
        lost.append("EXIF")
    if xmp and len(xmp) > longest:
        xmp = None
        lost.append("XMP")
    if exif:
        options["exif"] = exif
    if xmp and name == "tiff":
        with_xmp = Image.Exif()
        if exif:
            with_xmp.load(exif)
        with_xmp[Base.XMLPacket] = xmp
        options["exif"] = with_xmp
    elif xmp and name != "png":
        options["xmp"] = xmp

    segment = photoshop_segment(iptc) if iptc and name == "jpeg" else b""
    if segment:
        options["extra"] = segment
    elif iptc and name == "tiff":
        options["iptc"] = iptc
    elif iptc:
        lost.append("IPTC")

    texts, comment = dict(found.get("texts", {})), found.get("comment")
    if name == "png":
        if comment:
            texts.setdefault("Comment", _decoded(comment))
        if texts or xmp:
            options["pnginfo"] = _png_texts(texts, xmp)
    else:
        if "Comment" in texts and not comment:
            comment = texts.pop("Comment").encode()
        if comment and name == "jpeg" and len(comment) <= SEGMENT:
            options["comment"] = comment
        elif comment:
            lost.append("comment")
        lost += ["text"] if texts else []

    if "dpi" in found and name in ("jpeg", "png", "tiff", "bmp"):
        options["dpi"] = found["dpi"]
    if "icc" in found and name != "bmp":
        options["icc_profile"] = srgb_profile()
    return SaveOptions(options, tuple(lost))


def _without_maker_notes(content: bytes) -> bytes:
    exif = Image.Exif()
    exif.load(content)
    exif.get_ifd(IFD.Exif).pop(Base.MakerNote, None)
    return exif.tobytes()


def _png_texts(texts: dict[str, str], xmp: bytes | None) -> PngInfo:
    info = PngInfo()
    if xmp:
        info.add_itxt(XMP_TEXT, xmp.decode("utf-8", "replace"))
    for keyword, text in texts.items():
        if isinstance(text, iTXt):
            info.add_itxt(keyword, text, text.lang or "", text.tkey or "")
        else:
            info.add_text(keyword, text)
    return info


def _decoded(comment: bytes) -> str:
    """Return a comment, which has no declared encoding, as text."""
    try:
        return comment.decode()
    except UnicodeDecodeError:
        return comment.decode("latin-1")
