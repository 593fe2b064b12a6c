"""Bounds on what a file holds, checked before it is decoded.

Pillow walks over segments, chunks and tags in Python, and decodes every scan of a JPEG. A small file can hold millions
of them. The bounds are far above those of real photos. See also `tintype.images.png_chunks` and
`tintype.images.tiff_reader`.
"""

from __future__ import annotations

import contextlib
import re
import struct
from typing import IO, Any

from tintype.images.faults import UnreadablePhoto

SEGMENTS = 1000
"""Maximum number of a JPEG's segments before its pixels. A profile may have 255, extended XMP some dozens."""
EXIF_SEGMENTS = 100
"""Maximum number of them that hold EXIF, which Pillow joins one by one."""
JUNK = 1 << 16
"""Maximum number of bytes between the segments of a JPEG."""
SCANS = 100
"""Maximum number of scans of a JPEG. Encoders write about a dozen.

Each scan is a pass over all pixels, and costs a hostile file less than 100 bytes
(https://bugzilla.redhat.com/show_bug.cgi?id=1344214).
"""
MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")
"""Marker of a JPEG. Within coded pixels, its first byte is never followed by such a byte (ITU-T T.81, B.1.1.5)."""
START, SCAN, END, APP1 = 0xD8, 0xDA, 0xD9, 0xE1
FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
TAGS, DIRECTORIES = 1000, 10
"""Maximum number of tags of a directory of EXIF, and of directories."""
POINTERS = (0x8769, 0x8825, 0xA005)
"""Tags that lead to another directory: details, place, interoperability."""
BLOCKS = 10_000
"""Maximum number of blocks of a GIF before its first frame, of up to 255 bytes each."""
CODESTREAM = b"\xff\x4f\xff\x51"
"""Start of a JPEG 2000's pixels: the markers SOC and SIZ, ISO/IEC 15444-1, A.4.1."""
BOXES = 1000
"""Maximum number of boxes of a JPEG 2000, and of segments of its header."""


def check_bounds(format: str, file: IO[bytes]) -> None:
    """Refuse a file with more parts than photos have.

    Args:
        format: Pillow's name of the format.
        file: its content. The position is moved.
    Raises:
        UnreadablePhoto: the file has too many parts.
    """
    if format == "JPEG":
        _check_jpeg(file)
    elif format == "GIF":
        _check_gif(file)
    elif format == "JPEG2000":
        _check_jpeg2000(file)


def _check_jpeg(file: IO[bytes]) -> None:
    segments = junk = components = exif = 0
    frame = b""
    file.seek(2)
    while len(marker := file.read(2)) == 2:
        if marker[0] != 0xFF or marker[1] in (0, 0xFF):
            junk += 1
            if junk > JUNK:
                raise UnreadablePhoto("a JPEG with too much between its segments")
            file.seek(-1, 1)
            continue
        segments += 1
        if segments > SEGMENTS:
            raise UnreadablePhoto(f"a JPEG of more than {SEGMENTS} segments")
        if marker[1] in (START, END, 1) or 0xD0 <= marker[1] <= 0xD7:  # these have no content
            continue
        length = max(int.from_bytes(file.read(2), "big") - 2, 0)
        end = file.tell() + length
        if marker[1] == SCAN:
            components = (file.read(1) or b"\0")[0]
            break
        if marker[1] == APP1:
            exif += file.read(4) == b"Exif"
            if exif > EXIF_SEGMENTS:
                raise UnreadablePhoto(f"a JPEG of more than {EXIF_SEGMENTS} EXIF segments")
        elif marker[1] in FRAMES:
            frame = marker + file.read(length)
        file.seek(end)
    one_scan = len(frame) > 7 and frame[1] in (0xC0, 0xC1) and components == frame[7]  # all other markers are ignored
    if not one_scan and count_scans(file) > SCANS:
        raise UnreadablePhoto(f"a JPEG of more than {SCANS} scans")


def drop_long_exif(info: dict[Any, Any]) -> None:
    """Drop EXIF with a directory of more tags than photos have. Like other broken EXIF, it says nothing.

    Args:
        info: of an opened image, from Pillow.
    """
    exif = info.get("exif")
    if not isinstance(exif, bytes):
        return
    exif = exif.removeprefix(b"Exif\0\0")
    order = "<" if exif[:2] == b"II" else ">"
    with contextlib.suppress(struct.error):
        places = [struct.unpack_from(order + "I", exif, 4)[0]]
        for place in places:
            (count,) = struct.unpack_from(order + "H", exif, place)
            if count > TAGS or len(places) > DIRECTORIES:
                del info["exif"]
                return
            entries = struct.iter_unpack(order + "HHII", exif[place + 2 : place + 2 + 12 * count])
            places += [value for tag, _, _, value in entries if tag in POINTERS]


def count_scans(file: IO[bytes]) -> int:
    """Count the scans of a JPEG up to its end, or up to `SCANS` + 1.

    What follows the end (phones put videos there) is ignored.
    """
    file.seek(0)
    jpeg = file.read()
    scans = jpeg.count(bytes([0xFF, SCAN]))
    if scans <= SCANS:  # some may lie in other segments, but that does not matter then
        return scans
    position = scans = 0
    while (marker := MARKER.search(jpeg, position)) and marker[1][0] != END and scans <= SCANS:
        scans += marker[1][0] == SCAN
        bare = marker[1][0] == START
        position = marker.end() + (0 if bare else int.from_bytes(jpeg[marker.end() : marker.end() + 2], "big"))
    return scans


def _check_gif(file: IO[bytes]) -> None:
    file.seek(0)
    head = file.read(13)
    if len(head) == 13 and head[10] & 128:
        file.seek(3 << (head[10] & 7) + 1, 1)
    blocks = 0
    while (kind := file.read(1)) and kind not in b",;":
        blocks += 1
        if kind == b"!":
            file.seek(1, 1)
            while (size := file.read(1)) and size[0] and blocks <= BLOCKS:
                blocks += 1
                file.seek(size[0], 1)
        if blocks > BLOCKS:
            raise UnreadablePhoto(f"a GIF of more than {BLOCKS} blocks before its first frame")


def _check_jpeg2000(file: IO[bytes]) -> None:
    size = file.seek(0, 2)
    boxes = position = 0
    while position < size:
        file.seek(position)
        head = file.read(16)
        if head.startswith(CODESTREAM):
            break
        boxes += 1
        if boxes > BOXES:
            raise UnreadablePhoto(f"a JPEG 2000 of more than {BOXES} boxes")
        length, name = int.from_bytes(head[:4], "big"), head[4:8]
        inside = 16 if length == 1 else 8
        length = int.from_bytes(head[8:], "big") if length == 1 else length or size - position
        position += inside if name in (b"jp2c", b"jp2h", b"res ") else max(length, inside)
    position += 2
    for _ in range(BOXES):
        file.seek(position)
        head = file.read(4)
        if len(head) < 4 or head[1] in (0x90, 0xD9):
            return
        position += 2 + max(int.from_bytes(head[2:], "big"), 2)
    raise UnreadablePhoto(f"a JPEG 2000 of more than {BOXES} segments")
