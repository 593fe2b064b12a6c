"""Checks of what a network answers: damaged weights must not become black photos."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tintype.errors import UserError

if TYPE_CHECKING:
    from tintype.inference.backends import Backend


def finite(chroma: np.ndarray, model: str) -> np.ndarray:
    """Return a network's answer if all of it is finite.

    Raises:
        UserError: it holds NaN or infinity; the message names the model.
    """
    if not np.isfinite(chroma).all():
        raise UserError(f"{model}: is damaged: its network answers NaN or infinity; choose another model")
    return chroma


def try_out(backend: Backend, model: str) -> None:
    """Run a network once, on a small gradient of gray.

    Raises:
        UserError: it fails, or what it answers is no chroma.
    """
    side = backend.image_size
    lightness = np.linspace(0, 100, side * side, dtype=np.float32).reshape(1, 1, side, side)
    try:
        chroma = backend(lightness)
    except UserError:
        raise
    except Exception as error:  # ONNX Runtime's errors have no common base class
        raise UserError(f"{model}: the network does not run: {' '.join(str(error).split())[:200]}") from None
    if chroma.shape != (1, 2, side, side) or chroma.dtype != np.float32:
        raise UserError(
            f"{model}: the network answers {chroma.dtype} of shape {chroma.shape}, should be float32 of shape "
            f"{(1, 2, side, side)}"
        )
