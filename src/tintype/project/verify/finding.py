"""What a check of `tintype verify` found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """Of one check.

    Attributes:
        compared: what with what, in words; "" where nothing was there to compare.
        disagreements: one line each, the thing's name first.
        unseen: what could not be looked at, and why.
    """

    compared: str = ""
    disagreements: Sequence[str] = field(default=())
    unseen: Sequence[str] = field(default=())

    @property
    def verdict(self) -> Literal["ok", "BAD", "skip"]:
        """BAD with any disagreement, skip where nothing was compared."""
        return "BAD" if self.disagreements else "ok" if self.compared else "skip"


def some(names: Sequence[str], most: int = 3) -> str:
    """``a, b, c and 4 more``."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
