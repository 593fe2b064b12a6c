"""Oxford 102 Flowers: 8,189 photos of 102 kinds (Nilsback and Zisserman, 2008), as listed by torchvision."""

from __future__ import annotations

from pathlib import Path

from tintype.config import Data
from tintype.data.sources.archives import extract
from tintype.data.sources.folder import folder, is_own_copy
from tintype.data.sources.published_files import Archive, fetch
from tintype.data.sources.sampling import Listed, drawn

PAGE = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"


def flowers102(config: Data, root: Path, photos: Path) -> list[Listed]:
    """Provide Oxford 102 Flowers.

    ``config.origin`` is this module, which downloads 330 MB, or a folder of photos with one sub-folder per class.
    """
    if is_own_copy(config, root):
        return folder(config, root, photos)
    kept = drawn(_listed(fetch(_archive("label"))), config)  # the small file first, to fail early
    extract(fetch(_archive("image")), {f"jpg/{photo.path}": photo.path for photo in kept}, photos)
    return kept


def _archive(kind: str) -> Archive:
    from torchvision.datasets import Flowers102

    name, md5 = Flowers102._file_dict[kind]
    return Archive("flowers102", PAGE, Flowers102._download_url_prefix + name, md5)


def _listed(labels: Path) -> list[Listed]:
    """Return the photos listed in imagelabels.mat.

    Its ``labels`` (1, photos) holds the classes of image_00001.jpg and so on, counted from 1.
    """
    from scipy.io import loadmat
    from torchvision.datasets import Flowers102

    numbers = loadmat(labels, squeeze_me=True)["labels"]
    return [Listed(f"image_{i:05d}.jpg", Flowers102.classes[number - 1]) for i, number in enumerate(numbers, start=1)]
