"""What an exported file says of itself, as JSON in ONNX's own metadata."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from tintype.inference.model_card import ModelCard

METADATA = "tintype"
"""The key of a file's metadata under which its `Metadata` lies."""


class Dropout(NamedTuple):
    """A place where a stochastic generator draws. Its mask is an optional input of the network."""

    input: str
    p: float
    """Share that is dropped."""
    channels: int
    shrunk: int
    """How many times smaller than the photo its grid is."""


@dataclass(frozen=True)
class Metadata:
    """What an exported file says of itself."""

    name: str
    """By which people know the model."""
    image_size: int
    """Side of the training photos, pixels."""
    stride: int
    """The network works at multiples of it, inside."""
    dropouts: tuple[Dropout, ...]
    version: str
    """Of the tintype that wrote it."""
    chroma_stride: int = 1
    """See `tintype.inference.backends.Backend`; files of earlier versions do not tell."""
    generator: dict[str, Any] | None = None
    """The `tintype.models.GeneratorCard` that torch builds the network from; None in files of earlier versions."""
    card: ModelCard | None = None
    """Of a released model."""

    def to_json(self) -> str:
        """The inverse of `from_json`."""
        return json.dumps({**asdict(self), "card": self.card and self.card.model_dump()})

    @classmethod
    def from_json(cls, text: str) -> Metadata:
        """Raises `ValueError` or `TypeError` for what no `to_json` has written."""
        values = json.loads(text)
        values["dropouts"] = tuple(Dropout(*dropout) for dropout in values["dropouts"])
        card = values.pop("card", None)
        return cls(**values, card=card and ModelCard.model_validate(card))
