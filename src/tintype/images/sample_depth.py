"""Samples that are narrower than the integers they are stored in, widened so that white is white."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def widened(samples: np.ndarray, significant: int | Sequence[int], depth: int = 0) -> np.ndarray:
    """Return samples of `significant` bits over the whole range of their dtype.

    By the specification (PNG, third edition, 11.3.3.4 and 13.12), the significant bits are the highest of a sample,
    whatever the lower ones hold. Some writers leave them as the lowest. These are told apart by the lower bits, which
    no longer follow from the higher ones.

    Args:
        samples: (H, W) or (H, W, channels) of uint8 or uint16, with `depth` bits spread over the whole range.
        significant: bits per sample, or per channel.
        depth: bits per sample as stored. 0: those of the dtype.
    """
    white = np.iinfo(samples.dtype).max
    depth = depth or samples.dtype.itemsize * 8
    planes = samples[..., None] if samples.ndim == 2 else samples
    bits = [significant] * planes.shape[2] if isinstance(significant, int) else list(significant)[: planes.shape[2]]
    if len(bits) < planes.shape[2] or not all(0 < one <= depth for one in bits) or set(bits) == {depth}:
        return samples
    out = np.empty_like(planes)
    low = _are_low(planes, bits, depth)
    for channel, one in enumerate(bits):
        levels = np.arange(white + 1, dtype=np.int64)
        stored = (levels * (2**depth - 1) + white // 2) // white
        values = np.minimum(stored, 2**one - 1) if low else stored >> (depth - one)
        table = (values * white + (2**one - 1) // 2) // (2**one - 1)
        out[..., channel] = table.astype(samples.dtype)[planes[..., channel]]
    return out.reshape(samples.shape)


def _are_low(planes: np.ndarray, bits: Sequence[int], depth: int) -> bool:
    """Return whether the significant bits are the lowest of the samples and not, as they should be, the highest."""
    if depth != planes.dtype.itemsize * 8:
        return False
    levels = np.arange(np.iinfo(planes.dtype).max + 1, dtype=np.int64)
    for channel, one in enumerate(bits):
        if planes[..., channel].max(initial=0) >= 2**one:
            return False
    follow = True
    for channel, one in enumerate(bits):
        spread = ((levels >> (depth - one)) * (2**depth - 1) + (2**one - 1) // 2) // (2**one - 1)
        follow &= bool((np.abs(levels - spread) <= 1)[planes[..., channel]].all())
    return not follow
