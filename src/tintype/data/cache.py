"""The Lab cache: every kept photo at the networks' size, as Lab codes in one big array a split.

A folder with ``<split>.npy`` (N, 3, size, size) and ``<split>.csv`` (path, class; in the array's order) for each split,
and ``cache.json``, which is written last: where it is, the cache is whole.
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

SPLITS = ("train", "validation", "test")
FORMAT = 1


@dataclass(frozen=True)
class LabSplit:
    """The photos of one split. Opened from a cache it costs nothing to hold, to copy or to send to another process."""

    codes: np.ndarray
    """(N, 3, H, W) int16 or uint8, see `CODES`; from a cache: memory-mapped, read-only."""
    labels: np.ndarray
    """(N,) int64, indices into `classes`; -1: none."""
    names: list[str]
    """The photos' paths, as the manifest has them."""
    classes: list[str]

    def __len__(self) -> int:
        return len(self.codes)

    def __getstate__(self) -> dict[str, Any]:
        # A pickled memory map would be a copy of all its photos: send the file's name. (Slices of a map are arrays of
        # their own, with another base.)
        whole = isinstance(self.codes, np.memmap) and isinstance(self.codes.base, mmap.mmap)
        return {**self.__dict__, "codes": self.codes.filename} if whole else self.__dict__  # type: ignore[attr-defined]

    def __setstate__(self, state: dict[str, Any]) -> None:
        codes = state["codes"]
        codes = codes if isinstance(codes, np.ndarray) else np.load(codes, mmap_mode="r")
        self.__dict__.update(state, codes=codes)


@dataclass(frozen=True)
class LabCache:
    """A finished cache on disk."""

    folder: Path
    image_size: int
    precision: Precision
    classes: list[str]
    """All classes, sorted; empty: the photos have none."""
    photos: dict[str, int]
    """How many each split has."""
    digest: str
    """SHA-256 over codes and classes: the same for the same photos in the same order, prepared in the same way."""

    @classmethod
    def open(cls, folder: Path) -> LabCache:
        """Raises `UserError` if `folder` holds no whole cache."""
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
        """The photos of train, validation or test."""
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
