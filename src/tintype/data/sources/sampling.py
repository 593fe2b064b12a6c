"""What a source lists, and which of it is used."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

from tintype.config import Data
from tintype.data.curation import draw, stratified
from tintype.errors import UserError


class Listed(NamedTuple):
    """A photo of a dataset."""

    path: str  # posix, below the folder of photos
    label: str  # its class; empty: none


class Source(Protocol):
    """Fills `photos`, an empty folder, with the photos that `config` asks for and lists them.

    ``config.origin`` is relative to `root`, the project's folder. Raises `UserError`.
    """

    def __call__(self, config: Data, root: Path, photos: Path) -> list[Listed]: ...  # noqa: D102


def drawn(listed: list[Listed], config: Data) -> list[Listed]:
    """The photos of ``config.classes`` classes, and of those ``config.limit`` photos, every class by its share.

    Which ones is a matter of their paths, their classes and ``config.seed``; not of the order in which they are listed.

    Raises:
        UserError: for more classes than there are.
    """
    if config.classes is not None:
        names = {photo.label for photo in listed} - {""}
        if config.classes > len(names):
            raise UserError(f"data.classes = {config.classes}: these photos have {len(names)} classes; null takes all")
        shuffled = stratified(names, group=lambda _: "", key=lambda name: name, seed=config.seed)
        chosen = set(shuffled[: config.classes])
        listed = [photo for photo in listed if photo.label in chosen]
    if config.limit is None or config.limit >= len(listed):
        return listed
    ordered = stratified(listed, group=lambda photo: photo.label, key=lambda photo: photo.path, seed=config.seed)
    return draw(ordered, config.limit)[0]
