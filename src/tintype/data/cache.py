"""The Lab cache: every kept photo at the networks' size, as Lab codes in one large array per split.

The cache is a folder. Each split has ``<split>.npy`` (N, 3, size, size) and ``<split>.csv`` (path and class, in the
array's order). ``cache.json`` is written last: if it exists, the cache is complete.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from tintype.color.lab import rgb8_to_lab
from tintype.config import Preprocess
from tintype.data.curation import read_table, write_table
from tintype.errors import UserError

SPLITS = ("train", "validation", "test")
FORMAT = 1
CHUNK = 16  # photos per task: small enough to balance the load and update the progress bar often

Precision: TypeAlias = Literal["exact", "uint8"]
Photo: TypeAlias = dict[str, str]
"""A row of the manifest."""


@dataclass(frozen=True)
class Code:
    """Encoding of L, a and b: code = round(lab * scale + offset)."""

    dtype: torch.dtype
    scale: tuple[float, float, float]
    offset: tuple[float, float, float]


CODES: dict[Precision, Code] = {
    "exact": Code(torch.int16, (300.0, 256.0, 256.0), (0.0, 0.0, 0.0)),
    "uint8": Code(torch.uint8, (2.55, 1.0, 1.0), (0.0, 128.0, 128.0)),
}
"""Encodings by precision.

exact: all 16,777,216 colors of 8-bit sRGB are restored unchanged. uint8: half the size, photos are restored at 51 dB.
"""


def encode(lab: Tensor, precision: Precision) -> Tensor:
    """Encode Lab as codes.

    Args:
        lab: (..., 3, H, W), L in [0, 100], a and b within ±110.
        precision: a key of `CODES`.

    Returns:
        The same shape, int16 or uint8. Values that the type cannot hold are clipped.
    """
    code = CODES[precision]
    limits = torch.iinfo(code.dtype)
    scaled = lab * _planes(code.scale, lab)
    if any(code.offset):
        scaled += _planes(code.offset, lab)
    return scaled.round_().clamp_(limits.min, limits.max).to(code.dtype)


def decode(codes: np.ndarray | Tensor) -> Tensor:
    """Decode codes to Lab, (..., 3, H, W) float32. Their dtype gives the precision. A tensor stays on its device."""
    codes = torch.from_numpy(np.array(codes)) if isinstance(codes, np.ndarray) else codes
    code = code_of(codes.dtype)
    lab = codes.float()
    return (lab - _planes(code.offset, lab)) / _planes(code.scale, lab)


def code_of(dtype: torch.dtype) -> Code:
    """Return the code that is stored as `dtype`."""
    for code in CODES.values():
        if code.dtype == dtype:
            return code
    raise ValueError(f"codes of {dtype}; allowed: {', '.join(str(code.dtype) for code in CODES.values())}")


def _planes(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None, None]


@dataclass(frozen=True)
class LabSplit:
    """The photos of one split. Opened from a cache, it is cheap to hold, to copy and to send to another process."""

    codes: np.ndarray
    """(N, 3, H, W) int16 or uint8, see `CODES`. From a cache, it is memory-mapped and read-only."""
    labels: np.ndarray
    """(N,) int64, indices into `classes`. -1 means no class."""
    names: list[str]
    """The photos' paths, as in the manifest."""
    classes: list[str]

    def __len__(self) -> int:
        return len(self.codes)

    def __getstate__(self) -> dict[str, Any]:
        # Pickling a memory map would copy all of its photos, so send the file's name. Slices of a map are not the whole
        # file. They have another base.
        whole = isinstance(self.codes, np.memmap) and isinstance(self.codes.base, mmap.mmap)
        return {**self.__dict__, "codes": self.codes.filename} if whole else self.__dict__  # type: ignore[attr-defined]

    def __setstate__(self, state: dict[str, Any]) -> None:
        codes = state["codes"]
        codes = codes if isinstance(codes, np.ndarray) else np.load(codes, mmap_mode="r")
        self.__dict__.update(state, codes=codes)


@dataclass(frozen=True)
class LabCache:
    """A complete cache on disk."""

    folder: Path
    image_size: int
    precision: Precision
    classes: list[str]
    """All classes, sorted. Empty if the photos have none."""
    photos: dict[str, int]
    """Number of photos per split."""
    digest: str
    """SHA-256 over codes and classes: equal for the same photos in the same order, prepared in the same way."""

    @classmethod
    def open(cls, folder: Path) -> LabCache:
        """Open the cache in `folder`. Raises `UserError` if the folder holds no complete cache."""
        try:
            about = json.loads((folder / "cache.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(f"{folder}: no Lab cache (no cache.json); the stage preprocess makes one") from None
        except ValueError:
            raise UserError(f"{folder}: cache.json is damaged; run the stage preprocess again") from None
        if about.pop("format", None) != FORMAT:
            raise UserError(f"{folder}: a Lab cache of another version of tintype; run the stage preprocess again")
        return cls(folder=folder, **about)

    def split(self, name: str) -> LabSplit:
        """Return the photos of train, validation or test."""
        if name not in SPLITS:
            raise ValueError(f"no split {name!r}; allowed: {', '.join(SPLITS)}")
        try:
            codes = np.load(self.folder / f"{name}.npy", mmap_mode="r")
            photos = read_table(self.folder / f"{name}.csv")
        except (OSError, ValueError) as error:
            raise UserError(f"{self.folder}: {name} is damaged ({error}); run the stage preprocess again") from None
        if not len(codes) == len(photos) == self.photos[name]:
            raise UserError(f"{self.folder}: {name} is damaged (photos missing); run the stage preprocess again")
        number = {label: i for i, label in enumerate(self.classes)}
        labels = np.array([number.get(photo["class"], -1) for photo in photos], dtype=np.int64)
        return LabSplit(codes, labels, [photo["path"] for photo in photos], self.classes)


def build_cache(
    raw: Path, manifest: Path, config: Preprocess, max_pixels: int, out: Path, workers: int | None = None
) -> None:
    """Write the Lab cache of the manifest's photos, in the manifest's order.

    The files move into `out` only when all of them are complete, ``cache.json`` last.

    Args:
        raw: folder whose sub-folder ``photos`` has the files.
        manifest: CSV with the columns path, class, split.
        config: size, fit and precision.
        max_pixels: pixel limit of a photo, as in the filter.
        out: folder to write.
        workers: threads, by default one per core. Each holds one decoded photo in memory. Their number does not change
            the result.

    Raises:
        UserError: a photo cannot be read, the manifest is not usable, or the disk is too small.
    """
    rows = _read_manifest(manifest)
    classes = sorted({row["class"] for row in rows} - {""})
    splits = {split: [row for row in rows if row["split"] == split] for split in SPLITS}
    shape = (3, config.image_size, config.image_size)
    dtype = np.dtype(str(CODES[config.precision].dtype).removeprefix("torch."))

    out.mkdir(parents=True, exist_ok=True)
    (out / "cache.json").unlink(missing_ok=True)
    _check_room(out, len(rows) * int(np.prod(shape)) * dtype.itemsize)
    unfinished = out / ".unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    digest = hashlib.sha256()
    try:
        with tqdm(total=len(rows), desc="Lab cache", unit="photo", disable=None) as bar:
            for split, photos in splits.items():
                codes = np.lib.format.open_memmap(
                    unfinished / f"{split}.npy", mode="w+", dtype=dtype, shape=(len(photos), *shape)
                )
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
        for name in (*(f"{split}.{kind}" for split in SPLITS for kind in ("npy", "csv")), "cache.json"):
            (unfinished / name).replace(out / name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _read_manifest(manifest: Path) -> list[Photo]:
    try:
        rows = read_table(manifest)
    except FileNotFoundError:
        raise UserError(f"{manifest}: no such file; the stage filter writes it") from None
    for row in rows:
        if row.get("split") not in SPLITS or row.get("class") is None or not row.get("path"):
            raise UserError(f"{manifest}: needed are path, class and split (one of {', '.join(SPLITS)}), found {row}")
    if not rows:
        raise UserError(f"{manifest}: no photos")
    return rows


def _check_room(out: Path, needed: int) -> None:
    # A disk that fills up under a memory map kills the process (SIGBUS), so check before.
    free = shutil.disk_usage(out).free
    if needed > free:
        raise UserError(
            f"{out}: the Lab cache needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} are free; "
            "a smaller preprocess.image_size or preprocess.precision = 'uint8' needs less"
        )


def _fill(
    codes: np.ndarray, photos: Sequence[Photo], folder: Path, config: Preprocess, max_pixels: int, workers: int | None
) -> Iterator[slice]:
    """Write the codes of each photo into its row. Yield the rows that are done, in order."""
    from tintype.images.decoding import read_rgb
    from tintype.images.opening import UnreadablePhoto

    def fill(start: int) -> slice:
        fitted = _fitter(config)  # one per task: its objects are not documented as thread-safe
        chunk = photos[start : start + CHUNK]
        for row, photo in enumerate(chunk, start):
            try:
                rgb = read_rgb(folder / photo["path"], max_pixels)
            except UnreadablePhoto as error:
                reason = (
                    f"{photo['path']}: {error}, though the filter accepted it; run the stages from download on again"
                )
                raise UserError(reason) from None
            codes[row] = encode(rgb8_to_lab(fitted(rgb)), config.precision).numpy()
        return slice(start, start + len(chunk))

    with _one_thread_each(), ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        try:
            yield from pool.map(fill, range(0, len(photos), CHUNK))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


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
