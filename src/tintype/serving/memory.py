"""Return of unused memory to the operating system."""

from __future__ import annotations

import contextlib
import ctypes
import platform
from collections.abc import Callable


def _trim() -> Callable[[], None]:
    """Return glibc's malloc_trim (https://man7.org/linux/man-pages/man3/malloc_trim.3.html), or elsewhere a no-op.

    glibc keeps freed memory between memory that is in use, and more of it with every thread. A process that works on
    photos of many sizes grows by hundreds of megabytes that hold nothing.
    """
    if platform.libc_ver()[0] == "glibc":
        with contextlib.suppress(OSError, AttributeError):
            malloc_trim = ctypes.CDLL(None).malloc_trim
            return lambda: malloc_trim(0) and None
    return lambda: None


give_back = _trim()
"""Return unused memory to the system. This takes milliseconds."""
