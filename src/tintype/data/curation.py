"""Curation: which photos are kept, and the split of each."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

from tqdm import tqdm

from tintype.config import Filter
from tintype.errors import UserError, machine_failure
from tintype.files import sha256_of, write_sums
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
"""The split of the photos in a folder of this name at the top of the tree. Case does not matter."""
NEVER_DROPPED_FOR = ("test", "validation", "train", "")
"""Of photos with the same pixels, the one in the earliest of these splits is kept."""

T = TypeVar("T")


class Summary(NamedTuple):
    """Numbers of kept and rejected photos."""

    classes: list[str]
    photos: dict[str, int]
    rejected: dict[str, int]


class ListedPhoto(NamedTuple):
    """A photo of ``labels.csv``."""

    path: str
    label: str
    """The photo's class. Empty means none."""
    split: str
    """The split that the photo keeps. Empty means that it is still to be drawn."""


class Examined(NamedTuple):
    """The data that is kept of a photo after its pixels are released."""

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

    Writes ``out/manifest.csv`` (path, class, split, width, height, sha256 of the file), ``out/rejected.csv`` (path,
    reason) and ``out/summary.json`` (the returned summary).

    Of photos with the same pixels one is kept, whatever their classes: one in test before one in validation before one
    in train, and within a split the first by path. Splits that are drawn depend on the photos' bytes, their classes and
    the seed. They do not depend on names or order.

    A photo is only rejected for what its bytes are. If the machine fails to read it, `UserError` is raised.

    Raises:
        UserError: nothing is left for training or for the test, a photo is in no split's folder, or the machine fails.
    """
    listed = listed_photos(raw, config)
    _split(listed, config, key=lambda p: p.path)  # fail early: what is impossible for all is so for fewer

    # threads suffice: decoding, hashing and array arithmetic release the GIL
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            found = pool.map(lambda photo: _examine(raw / "photos", photo, config), listed)
            examined = list(tqdm(found, total=len(listed), desc="filter", unit="photo", disable=None))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise

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
    write_sums(out)
    return summary


def listed_photos(raw: Path, config: Filter) -> list[ListedPhoto]:
    """Return the photos of ``raw/labels.csv``, sorted by path, with their folders' splits if they are to keep these.

    Raises:
        UserError: a photo that is to keep its split is in no split's folder.
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
    """Return a photo with the split of its top folder. The split is empty if the folder is not in `SPLIT_FOLDERS`.

    Args:
        path: posix, below the folder of all photos.
        label: the photo's class, as in ``labels.csv``. If it is the name of a split's folder at the top, the folder
            below replaces it.
    """
    top, *below = path.split("/")[:-1] or [""]
    split = SPLIT_FOLDERS.get(top.lower(), "")
    if split and label == top:
        label = below[0] if below else ""
    return ListedPhoto(path, label, split)


def stratified(items: Iterable[T], group: Callable[[T], str], key: Callable[[T], str], seed: int) -> list[T]:
    """Return `items` group by group. `seed` and `key` alone decide the order of groups and of the items in each."""

    def shuffled(text: str) -> bytes:
        return hashlib.sha256(f"{seed}:{text}".encode()).digest()

    return sorted(items, key=lambda item: (shuffled(group(item)), shuffled(key(item))))


def draw(items: Sequence[T], count: int) -> tuple[list[T], list[T]]:
    """Return `count` of `items`, evenly spaced, and the others (systematic sampling).

    Of any m consecutive items, m * count / len(items) are drawn, rounded up or down. If `items` is `stratified`, this
    holds for each group.
    """
    halves: tuple[list[T], list[T]] = ([], [])
    for i, item in enumerate(items):
        is_drawn = (i + 1) * count // len(items) > i * count // len(items)
        halves[0 if is_drawn else 1].append(item)
    return halves


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV with a header, as written by `write_table`."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV with a header. Any name is preserved, even with line breaks."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)  # ends lines with \r\n, as in RFC 4180; otherwise it would not quote a name's \r
        writer.writerow(columns)
        writer.writerows(rows)


def _examine(photos: Path, photo: ListedPhoto, config: Filter) -> Examined:
    path = photos / photo.path
    with machine_failures_named(path, "no photo was dropped; run the stage again when the machine can read them all"):
        # First, and of every photo: this shows whether the machine can read it. Decoders in C hide why they fail.
        sha256 = sha256_of(path)
        try:
            rgb = read_rgb(path, max_pixels=config.max_pixels)
        except UnreadablePhoto as error:
            if machine_failure(error):
                raise
            return Examined(*photo, error.reason)
        height, width = rgb.shape[:2]
        if min(height, width) < config.min_side:
            return Examined(*photo, TOO_SMALL)
        if is_gray(rgb, config.chroma_threshold):
            return Examined(*photo, GRAYSCALE)
        pixels = hashlib.sha256(f"{width}x{height}".encode())
        pixels.update(rgb.data)
        return Examined(*photo, "", width, height, sha256, pixels.digest())


@contextmanager
def machine_failures_named(path: Path, advice: str) -> Iterator[None]:
    """Raise a failure of the machine inside the block as a `UserError` that names the photo at `path`."""
    try:
        yield
    except Exception as error:
        if failure := machine_failure(error):
            raise UserError(f"{path}: {failure.removeprefix(f'{path}: ')}; {advice}") from None
        raise


P = TypeVar("P", ListedPhoto, Examined)


def _split(photos: list[P], config: Filter, key: Callable[[P], str]) -> dict[str, list[P]]:
    """Assign every photo to one split. Raises `UserError` if train would be empty or test too small.

    Drawn splits keep the proportions of the classes, and their sizes are exact. Train gets its share of each class,
    rounded up or down. So do the other two splits if they have the same size.

    Args:
        photos: with the splits that they keep.
        config: sizes of the splits that are drawn.
        key: what decides, beside the class, where a photo is drawn.
    """
    if config.split == "folders":
        return _keep_splits(photos, config, key)
    validation, test = _split_sizes(config, len(photos))
    held_out, for_train = draw(_shuffled(photos, config, key), validation + test)
    for_test, for_validation = draw(held_out, test)
    return {"train": for_train, "validation": for_validation, "test": for_test}


def _keep_splits(photos: list[P], config: Filter, key: Callable[[P], str]) -> dict[str, list[P]]:
    """Keep the splits of the folders. Without a validation split, one is drawn from train."""
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
    """Return the sizes of validation and test. Raises `UserError` if train would be empty or test too small."""
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
    """Return how many of `photos` ``filter.<key>`` asks for. Raises `UserError`."""
    if isinstance(wanted, float) and wanted >= 1:
        raise UserError(f"filter.{key} = {wanted}: allowed is a share under 1, or a whole number of photos")
    return round(wanted * photos) if isinstance(wanted, float) else wanted
