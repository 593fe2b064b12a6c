"""The Lab cache made: photos decoded, fitted and encoded on all cores."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from tqdm import tqdm

from tintype.color.lab import rgb8_to_lab
from tintype.config import Preprocess
from tintype.data.cache import FORMAT, SPLITS
from tintype.data.curation import machine_failures_named, read_table, write_table
from tintype.data.lab_codes import CODES, encode
from tintype.errors import UserError, machine_failure
from tintype.files import SUMS, require_room, sha256_of, write_sums
from tintype.images.decoding import read_rgb
from tintype.images.opening import UnreadablePhoto

CHUNK = 16  # photos a task: small enough for an even load and a lively progress bar
AGAIN = "run `dvc repro -f filter`, which gets the photos again"

Photo: TypeAlias = dict[str, str]
"""A row of the manifest."""


def build_cache(
    raw: Path, manifest: Path, config: Preprocess, max_pixels: int, out: Path, workers: int | None = None
) -> None:
    """Write the Lab cache of the manifest's photos, in the manifest's order.

    The files move into `out` only when all of them are complete, ``cache.json`` last.

    Args:
        raw: folder whose sub-folder ``photos`` has the files.
        manifest: CSV with the columns path, class, split and sha256.
        config: size, fit and precision.
        max_pixels: pixel limit of a photo, as in the filter.
        out: folder to write.
        workers: threads, by default one per core. Each holds one decoded photo in memory. Their number does not change
            the result.

    Raises:
        UserError: a photo cannot be read or is not the one that the filter saw, the manifest is not usable, or the disk
            is too small.
    """
    rows = _read_manifest(manifest)
    classes = sorted({row["class"] for row in rows} - {""})
    splits = {split: [row for row in rows if row["split"] == split] for split in SPLITS}
    shape = (3, config.image_size, config.image_size)
    dtype = np.dtype(str(CODES[config.precision].dtype).removeprefix("torch."))

    out.mkdir(parents=True, exist_ok=True)
    (out / "cache.json").unlink(missing_ok=True)
    unfinished = out / ".unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    advice = "make room, or set a smaller preprocess.image_size or preprocess.precision = 'uint8', which needs half"
    require_room(out, len(rows) * int(np.prod(shape)) * dtype.itemsize, "the Lab cache", advice)
    unfinished.mkdir()
    digest = hashlib.sha256()
    try:
        with tqdm(total=len(rows), desc="Lab cache", unit="photo", disable=None) as bar:
            for split, photos in splits.items():
                codes = _allocate(unfinished / f"{split}.npy", dtype, (len(photos), *shape))
                digest.update(json.dumps([split, str(dtype), codes.shape, [p["class"] for p in photos]]).encode())
                for done in _fill(codes, photos, raw / "photos", config, max_pixels, workers):
                    digest.update(codes[done].data)
                    bar.update(done.stop - done.start)
                write_table(unfinished / f"{split}.csv", ("path", "class"), [(p["path"], p["class"]) for p in photos])
        about = {
            "format": FORMAT,
            "image_size": config.image_size,
            "precision": config.precision,
            "classes": classes,
            "photos": {split: len(photos) for split, photos in splits.items()},
            "digest": digest.hexdigest(),
        }
        (unfinished / "cache.json").write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        write_sums(unfinished)
        for name in (*(f"{split}.{kind}" for split in SPLITS for kind in ("npy", "csv")), SUMS, "cache.json"):
            (unfinished / name).replace(out / name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _read_manifest(manifest: Path) -> list[Photo]:
    try:
        rows = read_table(manifest)
    except FileNotFoundError:
        raise UserError(f"{manifest}: no such file; the stage filter writes it") from None
    for row in rows:
        if row.get("split") not in SPLITS or row.get("class") is None or not row.get("path") or not row.get("sha256"):
            splits = ", ".join(SPLITS)
            raise UserError(f"{manifest}: needed are path, class, split (one of {splits}) and sha256, found {row}")
    if not rows:
        raise UserError(f"{manifest}: no photos")
    return rows


def _allocate(path: Path, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """Create an array in a file, with all of its room on the disk.

    A file with gaps would do as well until the disk is full, and then kill the process that writes into it (SIGBUS).
    """
    codes = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    with path.open("rb+") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return codes


def _fill(
    codes: np.ndarray, photos: Sequence[Photo], folder: Path, config: Preprocess, max_pixels: int, workers: int | None
) -> Iterator[slice]:
    """Write the codes of each photo into its row. Yield the rows that are done, in order."""

    def fill(start: int) -> slice:
        fitted = _fitter(config)  # one per task: its objects are not documented as thread-safe
        chunk = photos[start : start + CHUNK]
        for row, photo in enumerate(chunk, start):
            path = folder / photo["path"]
            with machine_failures_named(path, "run the stage again when the machine can read it"):
                try:
                    rgb = read_rgb(path, max_pixels)
                except UnreadablePhoto as error:
                    if machine_failure(error):
                        raise
                    _refuse_changed(path, photo)
                    raise UserError(f"{path}: {error}, though the filter accepted it; {AGAIN}") from None
                _refuse_changed(path, photo)  # after the decoding, so that what was decoded is what the filter saw
            codes[row] = encode(rgb8_to_lab(fitted(rgb)), config.precision).numpy()
        return slice(start, start + len(chunk))

    with _one_thread_each(), ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        try:
            yield from pool.map(fill, range(0, len(photos), CHUNK))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _refuse_changed(path: Path, photo: Photo) -> None:
    """Raise `UserError` if the file is not the one whose hash the filter recorded."""
    if sha256_of(path) != photo["sha256"]:
        raise UserError(f"{path}: changed since the filter saw it; {AGAIN}")


def _fitter(config: Preprocess) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that resizes (H, W, 3) uint8 to (size, size, 3).

    It averages areas where a photo shrinks and interpolates cubically where it grows.
    """
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    import albumentations
    import cv2

    size = config.image_size
    resize = albumentations.Resize(size, size, interpolation=cv2.INTER_CUBIC, area_for_downscale="image")

    def fit(photo: np.ndarray) -> np.ndarray:
        height, width = photo.shape[:2]
        short, long = min(height, width), max(height, width)
        if config.fit == "crop":
            # Crop before the resize: it is less work, and a panorama never becomes size x millions.
            top, left = (height - short) // 2, (width - short) // 2
            photo = photo[top : top + short, left : left + short]
        elif short < size < long:
            # OpenCV averages areas only if both sides shrink, so shrink the long side first, alone.
            area = {"interpolation": cv2.INTER_AREA}
            photo = albumentations.Resize(min(height, size), min(width, size), **area)(image=photo)["image"]
        return resize(image=np.ascontiguousarray(photo))["image"]

    return fit


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Keep torch and OpenCV from starting threads of their own, because each core is already busy with a photo."""
    import cv2

    torch_threads, cv2_threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(torch_threads)
        cv2.setNumThreads(cv2_threads)
