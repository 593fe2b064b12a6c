"""The user's own photos: any folder tree, with classes from sub-folders or a CSV."""

from __future__ import annotations

import csv
import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TextIO

from tqdm import tqdm

from tintype.config import Data
from tintype.data.curation import in_its_split
from tintype.data.sources.sampling import Listed, drawn
from tintype.errors import UserError
from tintype.files import require_room
from tintype.images.formats import SUFFIXES

log = logging.getLogger(__name__)

Reader = Callable[[str, Path], list[Listed]]
"""Reads a CSV, given its name and the folder that contains it."""


def folder(config: Data, root: Path, photos: Path) -> list[Listed]:
    """Provide any tree of photos. If ``config.labels`` is set, it decides which photos are taken, and their classes."""
    return copied(listed_in(root / config.origin, config.labels, shown=config.origin), config, root, photos)


class Found(NamedTuple):
    """Numbers of photos and classes in a folder."""

    photos: int
    classes: int
    splits: dict[str, int]
    """Numbers of photos in train, validation and test.

    {} unless each photo lies in the folder of a split, with some photos in train and some in test.
    """


def count_photos(origin: Path, labels: str | None) -> Found:
    """Count what the source `folder` would find. Raises `UserError`."""
    listed = listed_in(origin, labels, shown=str(origin))
    in_splits = [in_its_split(*photo) for photo in listed]
    splits = Counter(photo.split for photo in in_splits)
    if "" in splits or not (splits["train"] and splits["test"]):
        return Found(len(listed), len({photo.label for photo in listed} - {""}), {})
    return Found(len(listed), len({photo.label for photo in in_splits} - {""}), dict(sorted(splits.items())))


def is_own_copy(config: Data, root: Path) -> bool:
    """Return whether ``config.origin`` is a folder of the user's photos, rather than the module that downloads them.

    Raises:
        UserError: it is neither, or it is the module and ``config.labels`` is set.
    """
    origin = root / config.origin
    if origin.is_dir():
        return True
    if origin.suffix != ".py" or not origin.is_file():
        raise UserError(
            f"data.origin = {config.origin!r}: no such folder; allowed: a folder of photos that you have, or, to "
            f"download them, the module that does so (src/tintype/data/sources/{config.source}.py of the checkout)"
        )
    if config.labels is not None:
        raise UserError(
            f"data.labels = {config.labels!r}: for a folder of your own; where {config.source} is downloaded, null"
        )
    return False


def listed_in(origin: Path, labels: str | None, shown: str, page: str = "", read: Reader | None = None) -> list[Listed]:
    """Return the photos of a folder.

    Args:
        origin: the folder.
        labels: a CSV below it that lists them. None: its sub-folders are the classes.
        shown: the user's name for the folder.
        page: page where the user can get such photos by hand, if there is one.
        read: reader of the CSV, if its columns are not named path and class.
    Raises:
        UserError: there are none.
    """
    where = f"data.origin = {shown!r}"
    by_hand = f"; see {page} for the photos and their license, and put them into {origin.resolve()}" if page else ""
    if not origin.is_dir():
        raise UserError(f"{where}: no such folder{by_hand}")
    listed = photos_below(origin) if labels is None else (read or _labeled)(labels, origin)
    if not listed:
        suffixes = ", ".join(sorted(suffix[1:] for suffix in SUFFIXES))
        raise UserError(f"{where}: no photos in it ({suffixes}){by_hand}")
    return listed


def photos_below(origin: Path) -> list[Listed]:
    """Return every file below `origin` with a photo's suffix, except hidden ones. Its class is the first sub-folder."""
    listed, ignored, seen = [], 0, set()
    for folder_, below, files in os.walk(origin, followlinks=True, onerror=_reraise):
        status = Path(folder_).stat()
        if (status.st_dev, status.st_ino) in seen:  # links may lead back up, or to one folder twice
            below.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(name for name in files if not name.startswith(".")):
            file = Path(folder_, name)
            path = file.relative_to(origin)
            if path.suffix.lower() in SUFFIXES and file.is_file() and _is_utf8(path):
                listed.append(Listed(path.as_posix(), path.parts[0] if len(path.parts) > 1 else ""))
            else:
                ignored += 1
    if ignored:
        log.warning("%s: files left out, as their names are not those of photos: %d", origin, ignored)
    return listed


def copied(listed: list[Listed], config: Data, root: Path, photos: Path) -> list[Listed]:
    """Draw from `listed`, photos below ``config.origin``, and copy what is drawn into `photos`."""
    origin = root / config.origin
    if photos.resolve().is_relative_to(origin.resolve()):
        raise UserError(
            f"data.origin = {config.origin!r}: holds this project itself; allowed is a folder of photos alone"
        )
    kept = drawn(listed, config)
    require_room(photos, sum((origin / photo.path).stat().st_size for photo in kept), f"the copy of {len(kept)} photos")
    for photo in tqdm(kept, desc="download", unit="photo", disable=None):
        (photos / photo.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(origin / photo.path, photos / photo.path)
    return kept


def checked(rows: Iterable[tuple[str | None, str | None]], origin: Path, labels: str) -> list[Listed]:
    """Return the (path, class) pairs of the CSV `labels` as photos below `origin`. Short rows lack one or both.

    Raises:
        UserError: a path leads elsewhere or to no file, or occurs twice.
    """
    where = f"data.labels = {labels!r}"
    listed: dict[str, str] = {}
    for name, label in rows:
        path = PurePosixPath(name or "")
        if path.is_absolute() or ".." in path.parts:
            raise UserError(f"{where}: {name!r} is not below data.origin")
        if not (origin / path).is_file():
            raise UserError(f"{where}: {name!r}: no such file below data.origin")
        if str(path) in listed:
            raise UserError(f"{where}: {name!r} is listed twice")
        listed[str(path)] = label or ""
    return [Listed(path, label) for path, label in listed.items()]


@contextmanager
def opened(labels: str, origin: Path) -> Iterator[TextIO]:
    """Open the CSV `labels`, which lies below `origin`, for reading. Faults of it are raised as `UserError`."""
    where = f"data.labels = {labels!r}"
    try:
        with (origin / labels).open(newline="", encoding="utf-8-sig") as file:
            yield file
    except OSError as error:
        raise UserError(f"{where}: {error.strerror}; looked for {origin / labels}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{where}: not a CSV in UTF-8: {error}") from None


def _labeled(labels: str, origin: Path) -> list[Listed]:
    """Return the photos of a CSV with the columns path and class. The photos and the CSV lie below `origin`."""
    with opened(labels, origin) as file:
        table = csv.DictReader(file)
        columns = table.fieldnames or []
        rows = list(table)
    if missing := sorted({"path", "class"} - set(columns)):
        raise UserError(
            f"data.labels = {labels!r}: no column {missing[0]!r}; needed are path,class, found {','.join(columns)}"
        )
    return checked(((row["path"], row["class"]) for row in rows), origin, labels)


def _is_utf8(path: Path) -> bool:
    """Return whether a CSV can hold the path. On Linux, a file name may be any bytes."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _reraise(error: OSError) -> None:
    raise error
