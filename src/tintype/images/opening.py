"""Safe opening of image files: only known formats, within the pixel limit, with a named reason for every fault."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from PIL import (  # each registers a format of `READABLE`
    AvifImagePlugin,  # noqa: F401
    BmpImagePlugin,  # noqa: F401
    GifImagePlugin,  # noqa: F401
    Image,
    ImageFile,
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
)

from tintype.images.formats import READABLE

NOT_AN_IMAGE = "not an image"
TRUNCATED = "truncated"
OVER_PIXEL_LIMIT = "over the pixel limit"
NO_FILE = "no such file"
UNREADABLE = "unreadable"


class UnreadablePhoto(Exception):  # noqa: N818 - a finding about the photo
    """A file that yields no photo. `reason` is one of this module's constants."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@contextlib.contextmanager
def opened(source: Path | IO[bytes], max_pixels: int) -> Iterator[ImageFile.ImageFile]:
    """Open a photo's file and read its header without decoding it.

    Do all work with the image inside the `with` block.

    Raises:
        UnreadablePhoto: for any fault of the file, even one that shows only inside the block.
    """
    try:
        with _identified(source) as image:
            if image.width * image.height > max_pixels:
                raise UnreadablePhoto(OVER_PIXEL_LIMIT)
            yield image
    except UnreadablePhoto:
        raise
    except Exception as error:  # broken files raise OSError, SyntaxError, struct.error, zlib.error, ...
        raise UnreadablePhoto(_reason(error)) from error


@contextlib.contextmanager
def _identified(source: Path | IO[bytes]) -> Iterator[ImageFile.ImageFile]:
    """Open like `Image.open`, but without its pixel limit, which applies to the whole process and not to one call.

    Pillow never gets a path here. Given one, it maps uncompressed TIFFs into memory with the size that they have after
    rotation.
    """
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
        file.seek(0)
        prefix = file.read(16)
        image = None
        for name in READABLE:
            open_as, accepts = Image.OPEN[name]
            if accepts is not None and accepts(prefix) is not True:  # a text means that Pillow lacks a library
                continue
            file.seek(0)
            with contextlib.suppress(SyntaxError, IndexError, TypeError, struct.error):
                image = stack.enter_context(open_as(file, ""))
                break
        if image is None:
            raise UnidentifiedImageError
        yield image


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return NOT_AN_IMAGE
    if isinstance(error, Image.DecompressionBombError):
        return OVER_PIXEL_LIMIT
    if isinstance(error, FileNotFoundError):
        return NO_FILE
    return TRUNCATED if isinstance(error, EOFError) or "truncated" in str(error).lower() else UNREADABLE
