"""The image that shows a photo next to its results."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from tintype.images.photo import Photo, on_white

LONGEST = 2048
"""Largest side, in pixels, of a photo in a comparison, which is only for viewing."""
GAP = 16
"""Pixels between the photos of a comparison."""
OF_THE_PHOTO = ("exif", "xmp", "iptc", "texts", "comment", "unread")
"""Metadata that is not true of a comparison."""


def side_by_side(photos: Sequence[Photo]) -> Photo:
    """Return a photo and its results from left to right, as a photo that is stored in a file like the first one."""
    images = [on_white(photo.to_image()).convert("RGB") for photo in photos]
    for image in images:
        image.thumbnail((LONGEST, LONGEST))
    width, height = images[0].size
    sheet = Image.new("RGB", (len(images) * (width + GAP) - GAP, height), "white")
    for index, image in enumerate(images):
        sheet.paste(image, (index * (width + GAP), 0))
    stored = {key: value for key, value in photos[0].metadata.items() if key not in OF_THE_PHOTO}
    return Photo(np.asarray(sheet), None, photos[0].format, stored)
