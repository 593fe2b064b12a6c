"""What runs a generator: torch, or ONNX Runtime on machines without torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from tintype.errors import UserError

if TYPE_CHECKING:
    from tintype.inference.model_card import ModelCard

BACKENDS = ("auto", "torch", "onnx")
BackendName = Literal["auto", "torch", "onnx"]


class Backend(Protocol):
    """A generator of any color space, seen from outside: L* in, ab out."""

    image_size: int
    """Side of the training photos, pixels."""
    stochastic: bool
    """Whether a seed draws one of several plausible answers."""
    chroma_stride: int
    """Pixels a side for which the network predicts chroma once; 1, or even: then it enlarges what it predicts."""
    card: ModelCard | None
    """What a released model's makers say of it."""

    def __call__(self, lightness: np.ndarray, seed: int | None = None) -> np.ndarray:
        """Chroma of a batch. May be called from several threads.

        Args:
            lightness: (B, 1, h, w) float32, L* in [0, 100].
            seed: of a stochastic answer; None: the one answer of evaluation.
        Returns:
            (B, 2, h, w) float32, ab in Lab units.
        """
        ...


def load_backend(model: Path, backend: BackendName = "auto", device: str = "auto") -> Backend:
    """The generator in `model`.

    Args:
        model: a folder with ``generator.safetensors`` and ``generator.json``, or an exported ``.onnx`` file.
        backend: auto takes ONNX Runtime for a file and torch for a folder. (onnx with a folder exports it first,
            which needs torch.)
        device: auto (a GPU where there is one), cpu, or as torch names them.
    Raises:
        UserError: there is no such model, or what would run it is not installed.
    """
    if backend not in BACKENDS:
        raise UserError(f"backend {backend!r}: allowed: {', '.join(BACKENDS)}")
    if not model.exists():
        raise UserError(f"{model}: no such model; allowed: a folder with generator.safetensors, or an .onnx file")
    if model.suffix == ".onnx" or backend == "onnx":
        if backend == "torch":
            raise UserError(f"{model}: backend torch cannot run an exported model; allowed: auto, onnx")
        from tintype.inference.backends.onnx import OnnxGenerator

        return OnnxGenerator(model, device)
    try:
        from tintype.inference.backends.pytorch import TorchGenerator
    except ModuleNotFoundError as error:
        raise UserError(
            f"{model}: needs {error.name}, which is not installed: pip install 'tintype[torch]'; an .onnx file does not"
        ) from None
    return TorchGenerator(model, device)
