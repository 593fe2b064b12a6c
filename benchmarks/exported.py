"""An exported generator run by ONNX Runtime, against the same one run by torch: speed, and how far they differ."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.caching import one_core, side_by_side
from benchmarks.trained import trained_generator
from tintype.inference.backends import Backend
from tintype.inference.backends.onnx import OnnxGenerator
from tintype.inference.backends.pytorch import TorchGenerator
from tintype.inference.onnx_export import export_onnx

BATCH_SIZES = (1, 8)
BATCHES = 5


def run() -> dict[str, Any]:
    """On one core, at the size of the generator's training photos and at four times its side."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, file = trained_generator(), Path(temporary, "generator.onnx")
        difference = export_onnx(folder, file)
        metrics: dict[str, Any] = {"photos_per_s": {}, "ratios": {}}
        with one_core():
            backends: dict[str, Backend] = {
                "torch": TorchGenerator(folder, "cpu"),
                "onnx": OnnxGenerator(file, "cpu"),
            }
            side = backends["onnx"].image_size
            for size in (side, 4 * side):
                for batch_size in BATCH_SIZES:
                    name = f"{size}x{size}, batch {batch_size}"
                    batch = np.random.default_rng(0).uniform(0, 100, (batch_size, 1, size, size)).astype(np.float32)
                    found = side_by_side({key: _answers(backend, batch) for key, backend in backends.items()})
                    metrics["photos_per_s"][name] = found["photos_per_s"]
                    metrics["ratios"][name] = found["ratios"]["onnx"]
        megabytes = file.stat().st_size / 1e6
    return {
        "name": "exported",
        "row": folder.name,
        **metrics,
        "megabytes": round(megabytes, 1),
        "difference": {"Lab units, largest": float(f"{difference:.1e}")},
        "goal": {"difference": 1e-3},
    }


def _answers(backend: Backend, batch: np.ndarray) -> Callable[[], int]:
    def answers() -> int:
        for _ in range(BATCHES):
            backend(batch)
        return BATCHES * len(batch)

    return answers
