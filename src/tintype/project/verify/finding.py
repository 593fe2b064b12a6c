"""The finding of a check of `tintype verify`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """The finding of one check.

    Attributes:
        compared: what was compared with what, in words, or "" if there was nothing to compare.
        disagreements: one line each, which starts with the name of the thing.
        unseen: what could not be checked, and why.
    """

    compared: str = ""
    disagreements: Sequence[str] = field(default=())
    unseen: Sequence[str] = field(default=())

    @property
    def verdict(self) -> Literal["ok", "BAD", "skip"]:
        """BAD if there is any disagreement, skip if nothing was compared."""
        return "BAD" if self.disagreements else "ok" if self.compared else "skip"


def some(names: Sequence[str], most: int = 3) -> str:
    """Shorten a list of names: ``a, b, c and 4 more``."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
