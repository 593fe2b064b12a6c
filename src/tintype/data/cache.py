"""The Lab cache: every kept photo at the networks' size, as Lab codes in one large array per split.

The cache is a folder. Each split has ``<split>.npy`` (N, 3, size, size) and ``<split>.csv`` (path and class, in the
array's order). ``cache.json`` is written last: if it exists, the cache is complete. ``SHA256SUMS`` has the hashes of
these files. Each is compared with its hash when it is opened.
"""

from __future__ import annotations

import json
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tintype.data.curation import read_table
from tintype.data.lab_codes import Precision
from tintype.errors import UserError
from tintype.files import verified

SPLITS = ("train", "validation", "test")
FORMAT = 1
STAGE = "preprocess"
"""The stage that makes the cache."""


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
        """Open the cache in `folder`. Raises `UserError` if the folder holds no complete cache of this version."""
        if not (folder / "cache.json").is_file():
            raise UserError(f"{folder}: no Lab cache (no cache.json); the stage preprocess makes one")
        about = json.loads(verified(folder / "cache.json", STAGE).read_text(encoding="utf-8"))
        if about.pop("format", None) != FORMAT:
            raise UserError(f"{folder}: a Lab cache of another version of tintype; run the stage preprocess again")
        return cls(folder=folder, **about)

    def split(self, name: str) -> LabSplit:
        """Return the photos of train, validation or test. All of them are read once, to compare their hash.

        Raises:
            UserError: the files are damaged.
        """
        if name not in SPLITS:
            raise ValueError(f"no split {name!r}; allowed: {', '.join(SPLITS)}")
        codes = np.load(verified(self.folder / f"{name}.npy", STAGE), mmap_mode="r")
        photos = read_table(verified(self.folder / f"{name}.csv", STAGE))
        number = {label: i for i, label in enumerate(self.classes)}
        labels = np.array([number.get(photo["class"], -1) for photo in photos], dtype=np.int64)
        return LabSplit(codes, labels, [photo["path"] for photo in photos], self.classes)
