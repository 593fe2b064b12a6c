"""Image files opened safely: known formats alone, within the pixel limit; every fault has a name."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from PIL import Image, ImageFile, UnidentifiedImageError

from tintype.images.formats import READABLE

NOT_AN_IMAGE = "not an image"
TRUNCATED = "truncated"
OVER_PIXEL_LIMIT = "over the pixel limit"
NO_FILE = "no such file"
UNREADABLE = "unreadable"

# What Pillow warns of is decided here: accepted, or refused with a reason. Once for the process and not around each
# call: `warnings.catch_warnings` is not safe in threads.
warnings.filterwarnings("ignore", module=r"PIL\.")


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
    # Pillow refuses what is twice over a limit of its own, for the whole process; it must not undercut the caller's.
    if Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels // 2 + 1)
    try:
        with Image.open(source, formats=READABLE) as image:
            if image.width * image.height > max_pixels:
                raise UnreadablePhoto(OVER_PIXEL_LIMIT)
            yield image
    except UnreadablePhoto:
        raise
    except Exception as error:  # broken files bring out anything: OSError, SyntaxError, struct.error, zlib.error, ...
        raise UnreadablePhoto(_reason(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return NOT_AN_IMAGE
    if isinstance(error, Image.DecompressionBombError):
        return OVER_PIXEL_LIMIT
    if isinstance(error, FileNotFoundError):
        return NO_FILE
    return TRUNCATED if isinstance(error, EOFError) or "truncated" in str(error).lower() else UNREADABLE
