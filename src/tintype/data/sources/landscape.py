"""Landscapes: any folder of them. A public one can be downloaded by hand."""

from __future__ import annotations

from pathlib import Path

from tintype.config import Data
from tintype.data.sources.folder import copied, listed_in
from tintype.data.sources.sampling import Listed

PAGE = "https://www.kaggle.com/datasets/arnaud58/landscape-pictures"


def landscape(config: Data, root: Path, photos: Path) -> list[Listed]:
    """Provide any tree of photos, like `folder`. Only the error message differs: it says where to get photos."""
    listed = listed_in(root / config.origin, config.labels, shown=config.origin, page=PAGE)
    return copied(listed, config, root, photos)
