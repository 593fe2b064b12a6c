"""A cache of color transforms, which keeps little however many profiles strangers send."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any


class TransformCache:
    """The transforms that were used last, by the hash of their profile. Profiles themselves are not kept.

    A transform may take a megabyte, whatever the size of its profile.

    Args:
        entries: maximum number of transforms.
    """

    def __init__(self, entries: int) -> None:
        self.entries = entries
        self._kept: OrderedDict[tuple[bytes, str], Any] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, profile: bytes, mode: str, make: Callable[[bytes, str], Any]) -> Any:
        """Return the transform of a profile and a mode. `make` makes it if it is not kept, or raises."""
        key = hashlib.sha256(profile).digest(), mode
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make(profile, mode)
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > self.entries:
                self._kept.popitem(last=False)
        return made
