"""Backends that run a generator: torch, or ONNX Runtime on machines without torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from tintype.errors import UserError
from tintype.inference.backends.soundness import try_out

if TYPE_CHECKING:
    from tintype.inference.model_card import ModelCard

BACKENDS = ("auto", "torch", "onnx")
BackendName = Literal["auto", "torch", "onnx"]


class Backend(Protocol):
    """A generator of any color space as seen from outside: L* in, ab out."""

    image_size: int
    """Side of the training photos, in pixels."""
    stochastic: bool
    """Whether a seed draws one of several plausible answers."""
    chroma_stride: int
    """Side, in pixels, of a cell for which the network predicts one chroma value.

    It is 1, or even. If it is even, the network enlarges what it predicts.
    """
    card: ModelCard | None
    """Model card, which released models have."""

    def __call__(self, lightness: np.ndarray, seed: int | None = None) -> np.ndarray:
        """Predict the chroma of a batch. May be called from several threads.

        Args:
            lightness: (B, 1, h, w) float32, L* in [0, 100].
            seed: draws a stochastic answer. None: the one answer that evaluation uses.
        Returns:
            (B, 2, h, w) float32, ab in Lab units.
        """
        ...


def load_backend(model: Path, backend: BackendName = "auto", device: str = "auto") -> Backend:
    """Load the generator in `model`.

    Args:
        model: a folder with ``generator.safetensors`` and ``generator.json``, or an exported ``.onnx`` file.
        backend: ``auto`` uses ONNX Runtime for a file and torch for a folder. (``onnx`` exports a folder first, which
            needs torch.)
        device: ``auto`` (a GPU if there is one), ``cpu``, or another name that torch has for a device.
    Raises:
        UserError: there is no such model, it is damaged, or the backend for it is not installed.
    """
    if backend not in BACKENDS:
        raise UserError(f"backend {backend!r}: allowed: {', '.join(BACKENDS)}")
    if not model.exists():
        raise UserError(f"{model}: no such model; allowed: a folder with generator.safetensors, or an .onnx file")
    if model.suffix == ".onnx" or backend == "onnx":
        if backend == "torch":
            raise UserError(f"{model}: backend torch cannot run an exported model; allowed: auto, onnx")
        from tintype.inference.backends.onnx import OnnxGenerator

        loaded: Backend = OnnxGenerator(model, device)
    else:
        try:
            from tintype.inference.backends.pytorch import TorchGenerator
        except ModuleNotFoundError as error:
            raise UserError(
                f"{model}: needs {error.name}, which is not installed: pip install 'tintype[torch]'; an .onnx file "
                "does not"
            ) from None
        loaded = TorchGenerator(model, device)
    try_out(loaded, str(model))
    return loaded
