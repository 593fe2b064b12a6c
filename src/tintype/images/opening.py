"""Safe opening of image files: only known formats, within limits, with a named reason for every fault."""

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
    Jpeg2KImagePlugin,  # noqa: F401
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
)

from tintype.images.bounds import check_bounds, drop_long_exif
from tintype.images.color_encodings import nclx_of
from tintype.images.faults import (
    NO_FILE,
    NOT_AN_IMAGE,
    OVER_PIXEL_LIMIT,
    TRUNCATED,
    UNREADABLE,
    UnreadablePhoto,
)
from tintype.images.formats import READABLE
from tintype.images.heif import is_heif, open_heif
from tintype.images.kinds import kind_of
from tintype.images.png_chunks import Coding, mend_png, read_coding
from tintype.images.tiff_reader import TiffFile

__all__ = ["NOT_AN_IMAGE", "NO_FILE", "OVER_PIXEL_LIMIT", "TRUNCATED", "UNREADABLE", "UnreadablePhoto", "opened"]


@contextlib.contextmanager
def opened(source: Path | IO[bytes], max_pixels: int) -> Iterator[ImageFile.ImageFile]:
    """Open a photo's file and read its header without decoding it.

    Do all work with the image inside the `with` block.

    Raises:
        UnreadablePhoto: for any fault of the file, even one that shows only inside the block.
    """
    image = None
    try:
        with _identified(source) as image:
            if image.width * image.height > max_pixels:
                raise UnreadablePhoto(OVER_PIXEL_LIMIT)
            yield image
    except (UnreadablePhoto, MemoryError):
        raise
    except Exception as error:  # broken files raise OSError, SyntaxError, struct.error, zlib.error, ...
        raise UnreadablePhoto(_reason(error, image)) from error


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
        alike = ""
        for name in READABLE:
            accepts = Image.OPEN[name][1]
            if accepts is not None and accepts(prefix) is not True:  # a text means that Pillow lacks a library
                continue
            alike = name
            with contextlib.suppress(SyntaxError, IndexError, TypeError, struct.error, AssertionError):
                image = _open(name, file)
                break
        else:
            if not is_heif(prefix):
                raise UnreadablePhoto(kind_of(alike, file) if alike else NOT_AN_IMAGE)
            image = _open("HEIF", file)
        yield stack.enter_context(image)


def _open(name: str, file: IO[bytes]) -> ImageFile.ImageFile:
    """Open a file as one format, within its bounds. Pillow raises `SyntaxError` and others if it is another one."""
    check_bounds(name, file)
    coding = read_coding(file) if name == "PNG" else None
    if name in ("AVIF", "HEIF"):
        coding = Coding(8, 2, cicp=nclx_of(file))
    file.seek(0)
    if name == "TIFF":
        return TiffFile(file, "")
    image = open_heif(file) if name == "HEIF" else Image.OPEN[name][0](file, "")
    drop_long_exif(image.info)
    if coding is not None:
        image.coding = coding  # type: ignore[attr-defined]
    if name == "PNG" and coding is not None:
        mend_png(image, coding)
    return image


def _reason(error: Exception, image: ImageFile.ImageFile | None) -> str:
    if isinstance(error, UnidentifiedImageError):
        return NOT_AN_IMAGE
    if isinstance(error, Image.DecompressionBombError):
        return OVER_PIXEL_LIMIT
    if isinstance(error, FileNotFoundError):
        return NO_FILE
    if isinstance(error, OSError) and error.errno and error.strerror:  # what the operating system answers
        return error.strerror.lower()
    if isinstance(error, EOFError) or "truncated" in str(error).lower():
        return TRUNCATED
    if image is not None and image.format == "JPEG2000" and image.fp is not None and "stream" in str(error):
        return kind_of("JPEG2000", image.fp)
    return UNREADABLE
