"""Sources of photos. Each source fills a folder with photos and lists their classes."""

from __future__ import annotations

import shutil
from pathlib import Path

from tintype.config import Data
from tintype.data.curation import write_table
from tintype.data.sources.coco8k import coco8k
from tintype.data.sources.flowers102 import flowers102
from tintype.data.sources.folder import count_photos, folder
from tintype.data.sources.imagenet4k import imagenet4k
from tintype.data.sources.landscape import landscape
from tintype.data.sources.places205 import places205
from tintype.data.sources.sample import sample
from tintype.data.sources.sampling import Listed, Source
from tintype.files import write_sums

__all__ = ["SOURCES", "Listed", "Source", "count_photos", "download"]

SOURCES: dict[str, Source] = {
    "sample": sample,
    "folder": folder,
    "flowers102": flowers102,
    "places205": places205,
    "coco8k": coco8k,
    "imagenet4k": imagenet4k,
    "landscape": landscape,
}


def download(config: Data, out: Path, root: Path) -> int:
    """Fill ``out/photos`` from the source and list the photos in ``out/labels.csv`` (path, class), sorted.

    Args:
        config: ``config.origin`` is relative to `root`.
        out: previous content is deleted.
        root: the project's folder.
    Returns:
        The number of photos.
    Raises:
        UserError: one line that names the key.
    """
    photos = out / "photos"
    (out / "labels.csv").unlink(missing_ok=True)
    if photos.exists():
        shutil.rmtree(photos)
    photos.mkdir(parents=True)
    listed = SOURCES[config.source](config, root, photos)
    write_table(out / "labels.csv", ("path", "class"), sorted(listed))
    write_sums(out)
    return len(listed)
