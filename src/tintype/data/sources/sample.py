"""The procedural sample: scenes drawn by a module of this package."""

from __future__ import annotations

from pathlib import Path

from tintype.config import Data
from tintype.data.sources.folder import photos_below
from tintype.data.sources.sampling import Listed, drawn
from tintype.errors import UserError


def sample(config: Data, root: Path, photos: Path) -> list[Listed]:
    """Provide the procedural sample. ``config.origin`` is the module that draws it."""
    from tintype.data.sample import draw_sample

    if config.labels is not None:
        raise UserError(f"data.labels = {config.labels!r}: the sample has its own classes; allowed is null")
    draw_sample(photos, config.seed)
    painted = photos_below(photos)
    kept = drawn(painted, config)
    for photo in set(painted) - set(kept):
        (photos / photo.path).unlink()
    return kept
