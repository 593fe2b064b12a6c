"""Some synsets of ImageNet (Russakovsky et al., 2015), which the user downloads by hand."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from tintype.config import Data
from tintype.data.sources.folder import copied, listed_in
from tintype.data.sources.sampling import Listed
from tintype.errors import UserError

log = logging.getLogger(__name__)

PAGE = "https://image-net.org/download.php"
SYNSET = re.compile(r"n\d{8}")  # a WordNet 3.0 offset


def imagenet4k(config: Data, root: Path, photos: Path) -> list[Listed]:
    """Provide photos of ImageNet. A synset is a class.

    ``config.origin`` is ImageNet's folder train, with files such as n01440764/n01440764_10026.JPEG. ``config.classes``
    draws synsets, ``config.limit`` their photos.
    """
    where = f"data.origin = {config.origin!r}"
    if config.labels is not None:
        raise UserError(f"data.labels = {config.labels!r}: the folders of ImageNet are the classes; allowed is null")
    listed = listed_in(root / config.origin, None, shown=config.origin, page=PAGE)
    in_synsets = [photo for photo in listed if SYNSET.fullmatch(photo.label)]
    if not in_synsets:
        found = sorted({photo.path.split("/")[0] for photo in listed})
        raise UserError(
            f"{where}: no folders of synsets (n01440764 and so on) in it, but {', '.join(found[:3])}"
            f"{' and so on' if len(found) > 3 else ''}; allowed is ImageNet's folder train (ILSVRC/Data/CLS-LOC/train)"
        )
    if len(in_synsets) < len(listed):
        log.warning("%s: photos left out, as they are in no synset's folder: %d", where, len(listed) - len(in_synsets))
    return copied(in_synsets, config, root, photos)
