"""Training batches from the Lab cache, against opening, resizing and converting every photo anew."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.caching import SIZE, build, one_core, open_plainly, raw_folder, side_by_side
from tintype.color.lab import lab_to_net
from tintype.data.batches import Batches
from tintype.data.cache import LabCache

BATCH_SIZE = 8
EPOCHS = 25  # of the cache, while the plain way does one: comparable times


def run(folder: Path | None = None) -> dict[str, Any]:
    """Epochs of batches on one core, all ways in turn; medians over the rounds.

    Args:
        folder: of photos; by default 64 are drawn, JPEGs of 500x375.
    """
    with tempfile.TemporaryDirectory() as temporary, one_core():
        raw = raw_folder(Path(temporary), folder)
        files = sorted((raw / "photos").iterdir())
        files = files[: len(files) // BATCH_SIZE * BATCH_SIZE]  # whole batches, as training has them

        def plain() -> int:
            for start in range(0, len(files), BATCH_SIZE):
                photos = [torch.from_numpy(open_plainly(file)) for file in files[start : start + BATCH_SIZE]]
                lab_to_net(torch.stack(photos).permute(0, 3, 1, 2).contiguous())
            return len(files)

        ways: dict[str, Callable[[], int]] = {"plain": plain}
        for precision in ("exact", "uint8"):
            build(raw, Path(temporary, precision), precision)
            split = LabCache.open(Path(temporary, precision)).split("train")
            ways[precision] = _epochs_of(Batches(split, BATCH_SIZE, "cpu", seed=1))
        metrics = side_by_side(ways)
    return {
        "name": "reading",
        "photos": len(files),
        "size": SIZE,
        "batch_size": BATCH_SIZE,
        **metrics,
        "goal": {"exact": 50.0, "uint8": 75.0},
    }


def _epochs_of(batches: Batches) -> Callable[[], int]:
    def epochs() -> int:
        return sum(len(batch.labels) for n in range(EPOCHS) for batch in batches.epoch(n))

    return epochs
