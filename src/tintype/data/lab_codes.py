"""Lab in 16-bit fixed point or 8 bits, as the cache stores it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

Precision: TypeAlias = Literal["exact", "uint8"]


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
