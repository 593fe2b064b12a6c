"""The photos that a source lists, and the choice of those that are used."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

from tintype.config import Data
from tintype.data.curation import draw, stratified
from tintype.errors import UserError


class Listed(NamedTuple):
    """A photo of a dataset."""

    path: str  # posix, below the folder of photos
    label: str  # its class; empty if it has none


class Source(Protocol):
    """A function that fills `photos`, an empty folder, with the photos that `config` asks for, and lists them.

    ``config.origin`` is relative to `root`, the project's folder. Raises `UserError`.
    """

    def __call__(self, config: Data, root: Path, photos: Path) -> list[Listed]: ...  # noqa: D102


def drawn(listed: list[Listed], config: Data) -> list[Listed]:
    """Draw ``config.classes`` classes, and ``config.limit`` photos of these classes, every class by its share.

    The choice depends on the photos' paths, their classes and ``config.seed``, but not on the order of the list.

    Raises:
        UserError: there are fewer classes than asked for.
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
