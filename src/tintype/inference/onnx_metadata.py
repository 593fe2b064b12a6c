"""Metadata of an exported file, stored as JSON in ONNX's own metadata."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from tintype.inference.model_card import ModelCard

METADATA = "tintype"
"""Key of the ONNX metadata under which the `Metadata` is stored."""


class Dropout(NamedTuple):
    """A dropout layer of a stochastic generator. Its mask is an optional input of the network."""

    input: str
    p: float
    """Share of the values that is dropped."""
    channels: int
    shrunk: int
    """How many times smaller than the photo the layer's grid is."""


@dataclass(frozen=True)
class Metadata:
    """Metadata of an exported file."""

    name: str
    """Display name of the model."""
    image_size: int
    """Side of the training photos, in pixels."""
    stride: int
    """Internally, the network works at multiples of this."""
    dropouts: tuple[Dropout, ...]
    version: str
    """Version of tintype that wrote the file."""
    chroma_stride: int = 1
    """See `tintype.inference.backends.Backend`. Files of earlier versions do not have it."""
    generator: dict[str, Any] | None = None
    """The `tintype.models.GeneratorCard` that torch builds the network from; None in files of earlier versions."""
    card: ModelCard | None = None
    """Model card, which released models have."""

    def to_json(self) -> str:
        """Return the metadata as JSON, the inverse of `from_json`."""
        return json.dumps({**asdict(self), "card": self.card and self.card.model_dump()})

    @classmethod
    def from_json(cls, text: str) -> Metadata:
        """Read the output of `to_json`. Raises `KeyError`, `ValueError` or `TypeError` for other text."""
        values = json.loads(text)
        values["dropouts"] = tuple(Dropout(*dropout) for dropout in values["dropouts"])
        card = values.pop("card", None)
        return cls(**values, card=card and ModelCard.model_validate(card))
