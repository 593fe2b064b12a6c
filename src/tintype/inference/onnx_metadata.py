"""Metadata of an exported file, stored as JSON in ONNX's own metadata."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import ConfigDict, Field, TypeAdapter

from tintype.inference.model_card import ModelCard

METADATA = "tintype"
"""Key of the ONNX metadata under which the `Metadata` is stored."""
MAX_SIDE, MAX_STRIDE = 1024, 1024
"""Largest side of training photos, as in the param ``preprocess.image_size``, and largest stride of a network."""


class Dropout(NamedTuple):
    """A dropout layer of a stochastic generator. Its mask is an optional input of the network."""

    input: str
    p: Annotated[float, Field(ge=0, lt=1)]
    """Share of the values that is dropped."""
    channels: Annotated[int, Field(ge=1, le=1 << 16)]
    shrunk: Annotated[int, Field(ge=1, le=MAX_STRIDE)]
    """How many times smaller than the photo the layer's grid is."""


@dataclass(frozen=True)
class Metadata:
    """Metadata of an exported file."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    name: str
    """Display name of the model."""
    image_size: Annotated[int, Field(ge=1, le=MAX_SIDE)]
    """Side of the training photos, in pixels."""
    stride: Annotated[int, Field(ge=1, le=MAX_STRIDE)]
    """Internally, the network works at multiples of this."""
    dropouts: tuple[Dropout, ...]
    version: str
    """Version of tintype that wrote the file."""
    chroma_stride: Annotated[int, Field(ge=1, le=MAX_STRIDE)] = 1
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
        """Read the output of `to_json`. Raises `ValueError` for other text."""
        return TypeAdapter(Metadata).validate_json(text)
