"""Strip-by-strip processing of photos on several threads.

Each thread needs memory for one strip, whatever the photo's size.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

STRIP = 1 << 16
"""Pixels that are converted at a time."""
THREADS = min(4, os.cpu_count() or 1)


def in_strips(work: Callable[[slice], None], height: int, width: int) -> None:
    """Call `work` on all rows of a photo, some at a time. Threads run in parallel because NumPy releases the GIL."""
    rows = max(1, STRIP // width)
    strips = [slice(top, min(height, top + rows)) for top in range(0, height, rows)]
    if len(strips) < 2 * THREADS:
        for strip in strips:
            work(strip)
        return
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, strips))
