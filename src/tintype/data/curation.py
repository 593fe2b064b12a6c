"""Which photos are kept, and into which split each goes."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

from tqdm import tqdm

from tintype.config import Filter
from tintype.errors import UserError
from tintype.files import sha256_of
from tintype.images.decoding import read_rgb
from tintype.images.grayscale import is_gray
from tintype.images.opening import UnreadablePhoto

TOO_SMALL = "too small"
GRAYSCALE = "grayscale"
DUPLICATE = "duplicate"

SPLIT_FOLDERS = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "test": "test",
}
"""The split of photos in a folder of this name, in small or capital letters, at the top of the tree."""
NEVER_DROPPED_FOR = ("test", "validation", "train", "")
"""Of photos with the same pixels, the one in the earliest of these splits stays."""

T = TypeVar("T")


class Summary(NamedTuple):
    """What was kept, in numbers."""

    classes: list[str]
    photos: dict[str, int]
    rejected: dict[str, int]


class ListedPhoto(NamedTuple):
    """A photo of ``labels.csv``."""

    path: str
    label: str
    """Its class; empty: none."""
    split: str
    """That it keeps; empty: it is still to be drawn."""


class Examined(NamedTuple):
    """What is remembered of a photo once its pixels are let go."""

    path: str
    label: str
    split: str
    reason: str = ""
    width: int = 0
    height: int = 0
    sha256: str = ""
    pixels: bytes = b""


def curate(raw: Path, config: Filter, out: Path) -> Summary:
    """Examine every photo of ``raw/labels.csv`` and split those that are kept.

    Writes ``out/manifest.csv`` (path, class, split, width, height, sha256 of the file), ``out/rejected.csv``
    (path, reason) and ``out/summary.json`` (what is returned). Of photos with the same pixels one stays, whatever their
    classes: one in test before one in validation, one in train last; in the same split the first by path. Splits that
    are drawn depend on the photos' bytes, their classes and the seed; on no name, on no order.
    Raises `UserError` if nothing is left for training or for the test, or a photo is in no split's folder.
    """
    listed = listed_photos(raw, config)
    _split(listed, config, key=lambda p: p.path)  # what is impossible for all is so for fewer: say it before the work

    with ThreadPoolExecutor(
        os.cpu_count()
    ) as pool:  # threads do: decoding, hashing and array arithmetic release the GIL
        found = pool.map(lambda photo: _examine(raw / "photos", photo, config), listed)
        examined = list(tqdm(found, total=len(listed), desc="filter", unit="photo", disable=None))

    kept: dict[bytes, Examined] = {}
    rejected = []
    for photo in sorted(examined, key=lambda photo: NEVER_DROPPED_FOR.index(photo.split)):
        if photo.reason:
            rejected.append((photo.path, photo.reason, ""))
        elif photo.pixels in kept:
            rejected.append((photo.path, DUPLICATE, f" of {kept[photo.pixels].path}"))
        else:
            kept[photo.pixels] = photo
    reasons = dict(sorted(Counter(reason for _, reason, _ in rejected).items()))
    if not kept:
        raise UserError(f"no photo was kept of {len(listed)}: {', '.join(f'{n} {why}' for why, n in reasons.items())}")

    splits = _split(list(kept.values()), config, key=lambda photo: photo.sha256)
    rows = sorted(
        (p.path, p.label, split, p.width, p.height, p.sha256) for split, photos in splits.items() for p in photos
    )
    summary = Summary(
        classes=sorted({photo.label for photo in kept.values()} - {""}),
        photos={split: len(photos) for split, photos in splits.items()},
        rejected=reasons,
    )
    out.mkdir(parents=True, exist_ok=True)
    write_table(out / "manifest.csv", ("path", "class", "split", "width", "height", "sha256"), rows)
    write_table(
        out / "rejected.csv", ("path", "reason"), sorted((path, reason + which) for path, reason, which in rejected)
    )
    (out / "summary.json").write_text(
        json.dumps(summary._asdict(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return summary


def listed_photos(raw: Path, config: Filter) -> list[ListedPhoto]:
    """The photos of ``raw/labels.csv`` by path, with the splits that their folders give them if they are to keep these.

    Raises:
        UserError: a photo that is to keep its split is in none.
    """
    listed = sorted(ListedPhoto(row["path"], row["class"], "") for row in read_table(raw / "labels.csv"))
    if config.split == "random":
        return listed
    kept = [in_its_split(photo.path, photo.label) for photo in listed]
    for photo in kept:
        if not photo.split:
            raise UserError(
                f"filter.split = 'folders': {photo.path!r} lies in no split's folder; allowed are train/, validation/ "
                "(val/, valid/) and test/ at the top of data.origin, or split: random"
            )
    return kept


def in_its_split(path: str, label: str) -> ListedPhoto:
    """A photo with the split of its top folder, empty where that is none of `SPLIT_FOLDERS`.

    Args:
        path: posix, below the folder of all photos.
        label: its class, as in ``labels.csv``. Where that is the top folder, it is the folder below instead.
    """
    top, *below = path.split("/")[:-1] or [""]
    split = SPLIT_FOLDERS.get(top.lower(), "")
    if split and label == top:
        label = below[0] if below else ""
    return ListedPhoto(path, label, split)


def stratified(items: Iterable[T], group: Callable[[T], str], key: Callable[[T], str], seed: int) -> list[T]:
    """`items` group by group, groups and the items in each in an order that `seed` and `key` alone decide."""

    def shuffled(text: str) -> bytes:
        return hashlib.sha256(f"{seed}:{text}".encode()).digest()

    return sorted(items, key=lambda item: (shuffled(group(item)), shuffled(key(item))))


def draw(items: Sequence[T], count: int) -> tuple[list[T], list[T]]:
    """`count` of `items`, evenly spaced, and the others (systematic sampling).

    Of any m items in a row, m * count / len(items) are drawn, rounded up or down; if they are `stratified`, so of each
    group.
    """
    halves: tuple[list[T], list[T]] = ([], [])
    for i, item in enumerate(items):
        is_drawn = (i + 1) * count // len(items) > i * count // len(items)
        halves[0 if is_drawn else 1].append(item)
    return halves


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV with a header, as `write_table` wrote it."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV with a header; any name survives, line breaks in it too."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)  # ends lines with \r\n, as RFC 4180 has it: else it would not quote a name's \r
        writer.writerow(columns)
        writer.writerows(rows)


def _examine(photos: Path, photo: ListedPhoto, config: Filter) -> Examined:
    try:
        rgb = read_rgb(photos / photo.path, max_pixels=config.max_pixels)
    except UnreadablePhoto as error:
        return Examined(*photo, error.reason)
    height, width = rgb.shape[:2]
    if min(height, width) < config.min_side:
        return Examined(*photo, TOO_SMALL)
    if is_gray(rgb, config.chroma_threshold):
        return Examined(*photo, GRAYSCALE)
    pixels = hashlib.sha256(f"{width}x{height}".encode())
    pixels.update(rgb.data)
    return Examined(*photo, "", width, height, sha256_of(photos / photo.path), pixels.digest())


P = TypeVar("P", ListedPhoto, Examined)


def _split(photos: list[P], config: Filter, key: Callable[[P], str]) -> dict[str, list[P]]:
    """Every photo in one split. Raises `UserError` if train would be empty, or test too small.

    Drawn splits have the classes by their share. Their sizes are exact. Of each class train gets its share rounded up
    or down; so do the other two if they are of one size.

    Args:
        photos: with the splits that they keep.
        config: how large the splits are that must be drawn.
        key: what of a photo, beside its class, decides where it is drawn.
    """
    if config.split == "folders":
        return _keep_splits(photos, config, key)
    validation, test = _split_sizes(config, len(photos))
    held_out, for_train = draw(_shuffled(photos, config, key), validation + test)
    for_test, for_validation = draw(held_out, test)
    return {"train": for_train, "validation": for_validation, "test": for_test}


def _keep_splits(photos: list[P], config: Filter, key: Callable[[P], str]) -> dict[str, list[P]]:
    """The splits of the folders; without a validation split, one is drawn from train."""
    splits = {split: [photo for photo in photos if photo.split == split] for split in ("train", "validation", "test")}
    if len(splits["test"]) < 2:
        raise UserError(
            f"filter.split = 'folders': {len(splits['test'])} photos in test/, at least 2 are needed; put some there, "
            "or set split: random"
        )
    if not splits["validation"]:
        train = len(splits["train"])
        count = _size("validation", config.validation, train)
        if count and count >= train:
            raise UserError(f"filter.validation = {config.validation}: leaves none of {train} photos in train/")
        splits["validation"], splits["train"] = draw(_shuffled(splits["train"], config, key), count)
    if not splits["train"]:
        raise UserError("filter.split = 'folders': no photos in train/; put some there, or set split: random")
    return splits


def _shuffled(photos: list[P], config: Filter, key: Callable[[P], str]) -> list[P]:
    return stratified(photos, group=lambda photo: photo.label, key=key, seed=config.seed)


def _split_sizes(config: Filter, photos: int) -> tuple[int, int]:
    """How many of `photos` go into validation and test. Raises `UserError` if train or test would be empty."""
    validation, test = (_size(key, getattr(config, key), photos) for key in ("validation", "test"))
    if test < 2:
        raise UserError(f"filter.test = {config.test}: {test} of {photos} photos; at least 2 are needed")
    if validation + test >= photos:
        raise UserError(
            f"filter.validation = {config.validation}, filter.test = {config.test}: "
            f"leave none of {photos} photos for training"
        )
    return validation, test


def _size(key: str, wanted: float | int, photos: int) -> int:
    """How many of `photos` ``filter.<key>`` is. Raises `UserError`."""
    if isinstance(wanted, float) and wanted >= 1:
        raise UserError(f"filter.{key} = {wanted}: allowed is a share under 1, or a whole number of photos")
    return round(wanted * photos) if isinstance(wanted, float) else wanted
