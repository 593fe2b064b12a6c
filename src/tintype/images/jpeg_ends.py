"""JPEGs that lack their last few bytes."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import IO

import numpy as np
from PIL import ImageFile, JpegImagePlugin

from tintype.images.bounds import END, FRAMES, MARKER, SCAN, START

WITHOUT_END = "the JPEG's last bytes are missing; what they showed is filled in"
MISSING = 0.01
"""Largest part of the pixels that may be missing."""
CODED = 0.2
"""Bytes of filling per pixel. They code more than `MISSING` of the pixels: a block of 64 has at most 3 x 216 bytes."""


def load(image: ImageFile.ImageFile) -> tuple[str, ...]:
    """Decode an opened image. Return what the user should know.

    A JPEG that lacks its end is taken if nearly all of its pixels are there.

    Raises:
        OSError: the file is broken; also other errors.
    """
    tiles, file = list(image.tile), image.fp
    try:
        image.load()
        return ()
    except OSError as error:
        is_cut = isinstance(image, JpegImagePlugin.JpegImageFile) and "truncated" in str(error).lower()
        if not is_cut or file is None or not _is_refined(file):
            raise
        # The pixels that depend on the filling are the missing ones. libjpeg itself fills with zeros.
        length, found = int(CODED * image.width * image.height), []
        for filling in ((bytes(range(1, 255)) * (4 + length // 254)), b""):
            image._im, image.tile, image.fp = None, list(tiles), file
            image.load_read = _reader(file, filling)  # type: ignore[attr-defined]
            image.load()
            found.append(np.asarray(image).reshape(image.height, image.width, -1))
        if (found[0] != found[1]).any(axis=2).mean() > MISSING:
            raise
        return (WITHOUT_END,)


def _reader(file: IO[bytes], filling: bytes) -> Callable[[int], bytes]:
    """Return a function that reads the file, then the filling, then an end."""
    rest = io.BytesIO(filling + bytes([0xFF, END]))

    def read(size: int) -> bytes:
        return file.read(size) or rest.read(size)

    return read


def _is_refined(file: IO[bytes]) -> bool:
    """Return whether the scans of a JPEG, complete or not, reach all bits of all coefficients of all components.

    If not, scans are missing of which nothing else tells. (ITU-T T.81, B.2.3, G.1.2.)
    """
    file.seek(0)
    jpeg = file.read()
    position, components, progressive = 0, b"", False
    left: dict[int, np.ndarray] = {}
    while (marker := MARKER.search(jpeg, position)) and marker[1][0] != END:
        at, kind = marker.end(), marker[1][0]
        if kind == START:
            position = at
            continue
        length = int.from_bytes(jpeg[at : at + 2], "big")
        content = jpeg[at + 2 : at + length]
        if kind in FRAMES and len(content) >= 6:
            progressive = kind in (0xC2, 0xC6, 0xCA, 0xCE)
            components = content[6 : 6 + 3 * content[5] : 3]
            left = {component: np.ones(64, np.int16) for component in components}
        elif kind == SCAN and content and len(content) >= 4 + 2 * content[0]:
            first, last, bits = content[1 + 2 * content[0] :][:3]
            for component in content[1 : 1 + 2 * content[0] : 2]:
                if component in left:
                    band = slice(first, last + 1) if progressive else slice(None)
                    left[component][band] = bits & 15 if progressive else 0
        position = at + length
    return bool(left) and not any(bits.any() for bits in left.values())
