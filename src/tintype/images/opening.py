"""Image files opened safely: known formats alone, within the pixel limit; every fault has a name."""

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
    """The file gives no photo; `reason` is one of this module's constants."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@contextlib.contextmanager
def opened(source: Path | IO[bytes], max_pixels: int) -> Iterator[ImageFile.ImageFile]:
    """A photo's file, its header read and nothing decoded; for all that is done with it in the `with`.

    Raises:
        UnreadablePhoto: whatever is wrong with the file, whenever it comes out.
    """
    try:
        with _identified(source) as image:
            if image.width * image.height > max_pixels:
                raise UnreadablePhoto(OVER_PIXEL_LIMIT)
            yield image
    except UnreadablePhoto:
        raise
    except Exception as error:  # broken files bring out anything: OSError, SyntaxError, struct.error, zlib.error, ...
        raise UnreadablePhoto(_reason(error)) from error


@contextlib.contextmanager
def _identified(source: Path | IO[bytes]) -> Iterator[ImageFile.ImageFile]:
    """As `Image.open`, but without its limit of pixels, which holds for the whole process and not for one call.

    Never by a path: given one, Pillow maps uncompressed TIFFs into memory by the size that they have once turned.
    """
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
        file.seek(0)
        prefix = file.read(16)
        image = None
        for name in READABLE:
            open_as, accepts = Image.OPEN[name]
            if accepts is not None and accepts(prefix) is not True:  # a text says that Pillow lacks a library
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
