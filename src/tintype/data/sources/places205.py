"""Places205: photos of 205 kinds of scene (Zhou et al., 2014), which the user downloads by hand."""

from __future__ import annotations

import csv
from itertools import chain
from pathlib import Path, PurePosixPath

from tintype.config import Data
from tintype.data.sources.folder import checked, copied, listed_in, opened
from tintype.data.sources.sampling import Listed
from tintype.errors import UserError

PAGE = "https://www.kaggle.com/datasets/mittalshubham/images256"  # the 10 %; all of it: http://places.csail.mit.edu

PATHS = ("path", "file_name", "filename", "image")
CLASSES = ("class", "label")


def places205(config: Data, root: Path, photos: Path) -> list[Listed]:
    """Provide photos of Places205. ``config.origin`` is the folder of the public 10 % subset, or of all photos.

    Classes come from ``config.labels``, or else from the folders, such as a/abbey or a/apartment_building/outdoor.
    """
    listed = listed_in(root / config.origin, config.labels, shown=config.origin, page=PAGE, read=_labeled)
    if config.labels is None:
        listed = [Listed(photo.path, scene_of(photo.path)) for photo in listed]
    return copied(listed, config, root, photos)


def scene_of(path: str) -> str:
    """Return the class of a photo by its path: the folders below the one named by the class's first letter.

    >>> scene_of("images256/a/apartment_building/outdoor/gsun_1.jpg")
    'apartment_building/outdoor'
    """
    parts = PurePosixPath(path).parts[:-1]
    letters = [i for i, part in enumerate(parts) if len(part) == 1]
    return "/".join(parts[letters[-1] + 1 :] if letters else parts)


def _labeled(labels: str, origin: Path) -> list[Listed]:
    """Return the photos of a CSV with paths and classes. A class may be a number.

    The first line may name the two columns, among others (the subset's own CSV has file_name,class). Without such a
    line they are the first two columns, and a space may separate them (as in MIT's lists).
    """
    with opened(labels, origin) as file:
        first = file.readline()
        rows = csv.reader(chain([first], file), delimiter="," if "," in first else " ")
        header = next(rows, [])
        path, label = (
            next((header.index(name) for name in names if name in header), None) for names in (PATHS, CLASSES)
        )
        table = list(rows)
    if path is None and label is None:
        path, label, table = 0, 1, [header, *table]
    if path is None or label is None:
        raise UserError(
            f"data.labels = {labels!r}: no column for the {'path' if path is None else 'class'}; needed are one of "
            f"{', '.join(PATHS)} and one of {', '.join(CLASSES)}, or no header; found {','.join(header)}"
        )
    return checked((_pair(row, path, label) for row in table if row), origin, labels)


def _pair(row: list[str], path: int, label: int) -> tuple[str | None, str | None]:
    return row[path] if path < len(row) else None, row[label] if label < len(row) else None
