"""The COCO sample: the 21,837 photos of COCO 2017 that fast.ai chose by a few kinds of object in them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from tintype.config import Data
from tintype.data.sources.archives import extract, names_in
from tintype.data.sources.folder import copied, is_own_copy, listed_in
from tintype.data.sources.published_files import Archive, fetch
from tintype.data.sources.sampling import Listed, drawn
from tintype.images.formats import SUFFIXES

ARCHIVE = Archive(
    "coco8k",
    "https://cocodataset.org/#termsofuse",
    "https://s3.amazonaws.com/fast-ai-coco/coco_sample.tgz",
    # From FastAI.jl (src/datasets/fastaidatasets.jl). The MD5 that fastai lists covers only the first MiB.
    "56960c0ac09ff35cd8588823d37e1ed0954cb88b8bfbd214a7763e72f982911c",
)
PHOTOS = PurePosixPath("coco_sample/train_sample")


def coco8k(config: Data, root: Path, photos: Path) -> list[Listed]:
    """Provide the COCO sample. The photos have no classes unless ``config.labels`` lists them.

    ``config.origin`` is this module, which downloads 3.2 GB, or any folder of COCO's photos.
    """
    if is_own_copy(config, root):
        listed = listed_in(root / config.origin, config.labels, shown=config.origin)
        if config.labels is None:
            listed = [Listed(photo.path, "") for photo in listed]
        return copied(listed, config, root, photos)
    archive = fetch(ARCHIVE)
    paths = (PurePosixPath(name) for name in names_in(archive))
    listed = [Listed(path.name, "") for path in paths if path.parent == PHOTOS and path.suffix.lower() in SUFFIXES]
    kept = drawn(listed, config)
    extract(archive, {str(PHOTOS / photo.path): photo.path for photo in kept}, photos)
    return kept
