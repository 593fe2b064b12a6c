"""Places365-Standard: 1,803,460 photos of 365 kinds of scene, 256x256 (Zhou et al., 2017), as torchvision knows it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tintype.config import Data
from tintype.data.sources.archives import extract, names_in
from tintype.data.sources.drawing import Listed, drawn
from tintype.data.sources.fetching import Archive, fetch
from tintype.data.sources.folder import is_own_copy
from tintype.data.sources.places205 import in_scenes

PAGE = "http://places2.csail.mit.edu/download.html"
SPLIT = "train-standard"


def places365(config: Data, root: Path, photos: Path) -> list[Listed]:
    """``config.origin`` is this module, which downloads 24 GB, or a folder of the photos as `places205` takes it."""
    if is_own_copy(config, root):
        return in_scenes(config, root, photos, PAGE)
    from torchvision.datasets import Places365

    kept = drawn(_listed(fetch(_archive(*Places365._DEVKIT_META["standard"]))), config)
    archive = fetch(_archive(*Places365._IMAGES_META[SPLIT, True]))
    extract(archive, {f"data_256/{photo.path}": photo.path for photo in kept}, photos)
    return kept


def _archive(name: str, md5: str) -> Archive:
    from torchvision.datasets import Places365

    return Archive("places365", PAGE, Places365._BASE_URL + name, md5)


def _listed(lists: Path) -> list[Listed]:
    """What torchvision reads out of the archive of lists; paths are as in that of photos: a/airfield/00000001.jpg."""
    from torchvision.datasets import Places365

    with tempfile.TemporaryDirectory() as folder:
        extract(lists, {name: Path(name).name for name in names_in(lists)}, Path(folder))
        dataset = Places365(folder, split=SPLIT, small=True)
        scenes = {number: name[len("/a/") :] for name, number in dataset.class_to_idx.items()}
        below = len(dataset.images_dir) + len(os.sep)
        return [Listed(path[below:].replace(os.sep, "/"), scenes[number]) for path, number in dataset.imgs]
