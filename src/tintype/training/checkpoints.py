"""Checkpoints: an interrupted training resumes and ends with the same weights as an uninterrupted one."""

from __future__ import annotations

import hashlib
import sys
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from tintype.closure import code_hash
from tintype.config import Row
from tintype.data.cache import LabCache
from tintype.errors import machine_failure
from tintype.files import leftovers, replacing, require_room


def run_key(row: Row, cache: LabCache) -> str:
    """Return the SHA-256 of everything that decides the weights: the row, the photos and the code.

    Another key means another training.
    """
    code = code_hash(Path(__file__).with_name("loop.py"))
    return hashlib.sha256(f"{row.model_dump_json()}\n{cache.digest}\n{code}".encode()).hexdigest()


class Checkpoints:
    """A single file, replaced as training goes on. A checkpoint that is damaged or has another key is never used.

    Args:
        path: of the file. The caller deletes it once the weights are safe.
        key: of the training, see `run_key`.
        every_s: minimum seconds since the last checkpoint (or the start).
    """

    def __init__(self, path: Path, key: str, every_s: float) -> None:
        self.path, self.key, self.every_s = path, key, every_s
        self.last = time.monotonic()
        self.last_good = "there is no checkpoint yet"
        """What the file holds, for messages."""

    def load(self) -> dict[str, Any] | None:
        """Return what was saved, with tensors on the CPU, or None.

        A file that has to be ignored is reported with a line on stderr. A damaged one is renamed.

        Raises:
            OSError, MemoryError: the machine cannot read the file.
        """
        for rubbish in leftovers(self.path):
            rubbish.unlink(missing_ok=True)
        if not self.path.is_file():
            return None
        try:
            with zipfile.ZipFile(self.path) as records:
                if damaged := records.testzip():  # torch does not compare the checksums that it wrote
                    raise zipfile.BadZipFile(damaged)
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            key = state.pop("key")
        except Exception as error:  # torch.load raises many kinds of errors; training can start over after any
            if machine_failure(error):
                raise
            aside = self.path.replace(self.path.with_name(f"{self.path.name}.damaged"))
            say(f"{self.path}: damaged, set aside as {aside.name}; training starts over")
            return None
        if key != self.key:
            say(f"{self.path}: ignored, it is of other params, photos or code; training starts over")
            return None
        self._name(state.pop("named"))
        return state

    def due(self) -> bool:
        """Return whether it is time for another checkpoint."""
        return time.monotonic() - self.last >= self.every_s

    def save(self, state: dict[str, Any], named: str) -> None:
        """Replace the file by `state`, completely or not at all. `named` tells how far training has come."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        require_room(self.path.parent, _bytes_in(state), "a checkpoint")
        with replacing(self.path) as temporary:
            torch.save({"key": self.key, "named": named, **state}, temporary)
        self.last = time.monotonic()
        self._name(named)

    def _name(self, named: str) -> None:
        self.last_good = f"the last good checkpoint is {self.path}, {named}"


def _bytes_in(state: Any) -> int:
    """Return the size of all tensors in a nested state."""
    if isinstance(state, torch.Tensor):
        return state.nbytes
    parts = state.values() if isinstance(state, Mapping) else state if isinstance(state, list | tuple) else ()
    return sum(map(_bytes_in, parts))


def say(line: str) -> None:
    """Print one line for the user, next to a progress bar if there is one."""
    tqdm.write(line, file=sys.stderr)
