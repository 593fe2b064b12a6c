"""tintype: from photographs to a registered colorizer, every number reproducible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tintype.inference.colorizer import Colorizer

__all__ = ["Colorizer"]


def __getattr__(name: str) -> Any:
    # Imported late: stages import the package too, and must not depend on code that they do not run.
    if name == "Colorizer":
        from tintype.inference.colorizer import Colorizer

        return Colorizer
    raise AttributeError(f"module 'tintype' has no attribute {name!r}")
