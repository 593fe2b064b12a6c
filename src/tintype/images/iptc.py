"""IPTC metadata (IPTC-IIM 4.2): captions, bylines and keywords of press and archive photos."""

from __future__ import annotations

import struct

IPTC_TAG = 33723
"""Tag of IPTC in a TIFF."""
IPTC_RESOURCE = 0x0404
"""Number of the Photoshop image resource that holds IPTC in a JPEG."""
MARKER = 0x1C
FALSE_AFTERWARDS = {(2, 130), (2, 131), (2, 200), (2, 201), (2, 202)}
"""Record and number of datasets that are not kept: image type (color or monochrome), orientation and preview."""
EXTENDED = 0x8000
"""Bit of a dataset's length that marks the extended form, which only previews need."""


def kept_datasets(content: bytes | None) -> bytes | None:
    """Return the datasets without those that are false of the photo in color. None if none are left or they are broken.

    Args:
        content: consecutive datasets; zeros may follow.
    """
    kept, position, content = b"", 0, (content or b"").rstrip(b"\0")
    while position < len(content):
        header = content[position : position + 5]
        if len(header) < 5 or header[0] != MARKER:
            return None
        record, number, length = struct.unpack(">xBBH", header)
        end = position + 5 + (length & ~EXTENDED)
        if length & EXTENDED:
            end += int.from_bytes(content[position + 5 : end], "big")
        if (record, number) not in FALSE_AFTERWARDS:
            # A last value that ends in zeros has lost them with the padding.
            kept += content[position:end].ljust(end - position, b"\0")
        position = end
    return kept or None


def photoshop_segment(content: bytes) -> bytes:
    """Return the JPEG segment APP13 that holds the datasets, or nothing if they are too long for one."""
    resource = b"8BIM" + struct.pack(">HxxI", IPTC_RESOURCE, len(content)) + content + b"\0" * (len(content) % 2)
    payload = b"Photoshop 3.0\0" + resource
    return b"\xff\xed" + struct.pack(">H", len(payload) + 2) + payload if len(payload) < 65_534 else b""
