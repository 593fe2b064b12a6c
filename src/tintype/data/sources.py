"""Where photos come from: each source fills a folder with them and tells their classes."""

from __future__ import annotations

import csv
import logging
import os
import shutil
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol

from tqdm import tqdm

from tintype.config import ConfigError, Data
from tintype.data.curation import draw, stratified, write_table
from tintype.data.reading import SUFFIXES

log = logging.getLogger(__name__)


class Listed(NamedTuple):
    """A photo of a dataset."""

    path: str  # posix, below the folder of photos
    label: str  # its class; empty: none


class Source(Protocol):
    """Fills `photos`, an empty folder, with no more than ``config.limit`` photos and lists them.

    ``config.origin`` is relative to `root`, the lab's folder. Raises `ConfigError`.
    """

    def __call__(self, config: Data, root: Path, photos: Path) -> list[Listed]: ...  # noqa: D102


def sample(config: Data, root: Path, photos: Path) -> list[Listed]:
    """The procedural sample; ``config.origin`` is the module that draws it."""
    from tintype.data.sample import draw_sample

    if config.labels is not None:
        raise ConfigError(f"data.labels = {config.labels!r}: the sample has its own classes; allowed is null")
    draw_sample(photos, config.seed)
    drawn = _photos_below(photos)
    kept = _limited(drawn, config)
    for photo in set(drawn) - set(kept):
        (photos / photo.path).unlink()
    return kept


def folder(config: Data, root: Path, photos: Path) -> list[Listed]:
    """Any tree of photos; ``config.labels``, where there is one, says which are taken, and their classes."""
    origin = root / config.origin
    if photos.resolve().is_relative_to(origin.resolve()):
        raise ConfigError(
            f"data.origin = {config.origin!r}: holds this lab itself; allowed is a folder of photos alone"
        )
    listed = _listed(origin, config.labels, shown=config.origin)
    kept = _limited(listed, config)
    for photo in tqdm(kept, desc="download", unit="photo", disable=None):
        (photos / photo.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(origin / photo.path, photos / photo.path)
    return kept


SOURCES: dict[str, Source] = {"sample": sample, "folder": folder}


def download(config: Data, out: Path, root: Path) -> int:
    """Fill ``out/photos`` from the source and list them in ``out/labels.csv`` (path, class), sorted.

    Args:
        config: ``config.origin`` is relative to `root`.
        out: anything in it from before is lost.
        root: the lab's folder.
    Returns:
        The number of photos.
    Raises:
        ConfigError: one line naming the key.
    """
    photos = out / "photos"
    shutil.rmtree(photos, ignore_errors=True)
    photos.mkdir(parents=True)
    listed = SOURCES[config.source](config, root, photos)
    write_table(out / "labels.csv", ("path", "class"), sorted(listed))
    return len(listed)


def count_photos(origin: Path, labels: str | None) -> tuple[int, int]:
    """How many photos, and of how many classes, the source `folder` would find. Raises `ConfigError`."""
    listed = _listed(origin, labels, shown=str(origin))
    return len(listed), len({photo.label for photo in listed} - {""})


def _listed(origin: Path, labels: str | None, shown: str) -> list[Listed]:
    where = f"data.origin = {shown!r}"
    if not origin.is_dir():
        raise ConfigError(f"{where}: no such folder")
    listed = _photos_below(origin) if labels is None else _labelled(labels, origin)
    if not listed:
        raise ConfigError(f"{where}: no photos in it ({', '.join(sorted(suffix[1:] for suffix in SUFFIXES))})")
    return listed


def _photos_below(origin: Path) -> list[Listed]:
    """Every file with a photo's suffix below `origin`, hidden ones left out; its class is the first sub-folder."""
    listed, ignored, seen = [], 0, set()
    for folder_, below, files in os.walk(origin, followlinks=True, onerror=_reraise):
        status = Path(folder_).stat()
        if (status.st_dev, status.st_ino) in seen:  # links may lead back up, or here twice
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


def _labelled(labels: str, origin: Path) -> list[Listed]:
    """The photos of a CSV with the columns path and class, all below `origin`, as the CSV is."""
    where = f"data.labels = {labels!r}"
    try:
        with (origin / labels).open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            columns = table.fieldnames or []
            rows = list(table)
    except OSError as error:
        raise ConfigError(f"{where}: {error.strerror}; looked for {origin / labels}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{where}: not a CSV in UTF-8: {error}") from None
    if missing := sorted({"path", "class"} - set(columns)):
        raise ConfigError(f"{where}: no column {missing[0]!r}; needed are path,class, found {','.join(columns)}")
    listed: dict[str, str] = {}
    for row in rows:
        path = PurePosixPath(row["path"] or "")
        if path.is_absolute() or ".." in path.parts:
            raise ConfigError(f"{where}: {row['path']!r} is not below data.origin")
        if not (origin / path).is_file():
            raise ConfigError(f"{where}: {row['path']!r}: no such file below data.origin")
        if str(path) in listed:
            raise ConfigError(f"{where}: {row['path']!r} is listed twice")
        listed[str(path)] = row["class"] or ""
    return [Listed(path, label) for path, label in listed.items()]


def _limited(listed: list[Listed], config: Data) -> list[Listed]:
    """At most ``config.limit`` of them, every class by its share; the same ones whatever their order."""
    if config.limit is None or config.limit >= len(listed):
        return listed
    ordered = stratified(listed, group=lambda photo: photo.label, key=lambda photo: photo.path, seed=config.seed)
    return draw(ordered, config.limit)[0]


def _is_utf8(path: Path) -> bool:
    """Whether a CSV can hold the path: on Linux a name may be any bytes."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _reraise(error: OSError) -> None:
    raise error
