"""XMP metadata (ISO 16684-1): the properties that stay true of a photo in color."""

from __future__ import annotations

import xml.dom.minidom
from xml.parsers.expat import ExpatError

XMP_TEXT = "XML:com.adobe.xmp"
"""Keyword of the PNG text that holds XMP."""
LONGEST = 1 << 20
"""Bytes up to which XMP is read. What is longer holds previews, depth maps and edits, one by one."""
PARTS = 20_000
"""Maximum number of elements and attributes. Even with all edits of a photo, XMP has a few thousand."""
ALL: frozenset[str] = frozenset()
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XMLNS = "http://www.w3.org/2000/xmlns/"
DUBLIN_CORE = "http://purl.org/dc/elements/1.1/"
KEPT = {
    DUBLIN_CORE: ALL,
    "http://ns.adobe.com/xap/1.0/rights/": ALL,
    "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/": ALL,
    "http://iptc.org/std/Iptc4xmpExt/2008-02-29/": ALL,
    "http://ns.useplus.org/ldf/xmp/1.0/": ALL,
    "http://ns.adobe.com/lightroom/1.0/": ALL,
    "http://www.digikam.org/ns/1.0/": ALL,
    "http://ns.microsoft.com/photo/1.0/": ALL,
    "http://ns.microsoft.com/photo/1.0": ALL,
    "http://ns.acdsee.com/iptc/1.0/": ALL,
    "http://creativecommons.org/ns#": ALL,
    "http://www.metadataworkinggroup.com/schemas/keywords/": ALL,
    "http://cipa.jp/exif/1.0/": ALL,
    "http://ns.adobe.com/exif/1.0/aux/": ALL,
    "http://ns.adobe.com/xap/1.0/": frozenset(
        {"CreateDate", "ModifyDate", "MetadataDate", "CreatorTool", "Rating", "Label", "Identifier", "Nickname"}
    ),
    "http://ns.adobe.com/photoshop/1.0/": frozenset(
        {
            *("AuthorsPosition", "CaptionWriter", "Category", "City", "Country", "Credit", "DateCreated", "Headline"),
            *("Instructions", "Source", "State", "SupplementalCategories", "TransmissionReference", "Urgency"),
        }
    ),
    "http://ns.adobe.com/tiff/1.0/": frozenset({"Artist", "Copyright", "ImageDescription", "Make", "Model"}),
    "http://ns.adobe.com/exif/1.0/": frozenset(
        {
            *("DateTimeOriginal", "DateTimeDigitized", "UserComment", "ExposureTime", "FNumber", "FocalLength"),
            *("ISOSpeedRatings", "GPSLatitude", "GPSLongitude", "GPSAltitude", "GPSAltitudeRef", "GPSTimeStamp"),
        }
    ),
}
"""Names of the kept properties by namespace. `ALL` stands for every name.

Others describe the old file or how it was made: thumbnails, gain maps, videos at the end of the file, size, color mode,
edits such as a conversion to grayscale, documents that it was derived from.
"""


REGIONS: dict[str, frozenset[str]] = {
    "http://www.metadataworkinggroup.com/schemas/regions/": ALL,
    "http://ns.microsoft.com/photo/1.2/": ALL,
}
"""Namespaces of marked places, such as faces with names."""


def kept_properties(content: bytes | str | None, *, turned: bool = False) -> bytes | None:
    """Return XMP in UTF-8 with the properties in `KEPT` only. None if none are left, or if it is no sound XMP.

    Args:
        content: an XMP packet.
        turned: whether the photo was rotated or mirrored. Then the places of `REGIONS` are no longer true.
    """
    content = content.encode() if isinstance(content, str) else content
    if not content or is_too_long(content) or b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        return None
    try:
        return _kept(xml.dom.minidom.parseString(content.strip(b"\0 \t\r\n")), KEPT if turned else KEPT | REGIONS)
    except (ExpatError, ValueError, LookupError, RecursionError):
        return None


def is_too_long(content: bytes) -> bool:
    """Return whether XMP has more bytes or more parts than are read."""
    return len(content) > LONGEST or content.count(b"<") + content.count(b"=") > PARTS


def _kept(document: xml.dom.minidom.Document, kept: dict[str, frozenset[str]]) -> bytes | None:
    count = 0
    for description in document.getElementsByTagNameNS(RDF, "Description"):
        if getattr(description.parentNode, "localName", "") != "RDF":  # inside a property
            continue
        for attribute in list(description.attributes.values()):
            if attribute.namespaceURI in (RDF, XMLNS):
                continue
            if _is_kept(attribute, kept):
                count += 1
            else:
                description.removeAttributeNode(attribute)
        for child in list(description.childNodes):
            if child.nodeType != child.ELEMENT_NODE:
                continue
            if _is_kept(child, kept):
                count += 1
            else:
                description.removeChild(child).unlink()
    return document.toxml(encoding="utf-8").partition(b"?>")[2].strip() if count else None


def _is_kept(node: xml.dom.minidom.Attr | xml.dom.minidom.Element, kept: dict[str, frozenset[str]]) -> bool:
    names = kept.get(node.namespaceURI or "")
    if node.namespaceURI == DUBLIN_CORE and node.localName == "format":  # the old file's
        return False
    return names is not None and (names is ALL or node.localName in names)
