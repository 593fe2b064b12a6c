"""Options of a request to colorize a photo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, FailFast, Field, Json, ValidationError

from tintype.inference.hints import Hint
from tintype.serving.errors import Refusal, one_line
from tintype.serving.limits import Limits

OutputFormat = Literal["same", "jpeg", "png", "webp", "tiff"]
OUTPUT_FORMATS: tuple[str, ...] = get_args(OutputFormat)
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)]
"""JSON's numbers alone: neither true nor "1"."""


class Spot(BaseModel):
    """A spot of the photo, and the color that it is to have."""

    model_config = ConfigDict(extra="forbid")

    x: Share = Field(description="from the left edge, in widths of the photo")
    y: Share = Field(description="from the top edge, in heights of the photo")
    color: str = Field(pattern="^#[0-9a-fA-F]{6}$", description="#rrggbb; the lightness stays the photo's")


class Options(BaseModel):
    """The form's fields beside ``photo``."""

    model_config = ConfigDict(extra="forbid")

    hints: Json[Annotated[list[Spot], FailFast()]] = Field(
        [], description='a JSON list: [{"x": 0.5, "y": 0.2, "color": "#7799bb"}]'
    )
    saturation: float = Field(1.0, ge=0, le=2, allow_inf_nan=False, description="0: gray; 1: as predicted")
    keep_color: bool = Field(False, description="give a photo that has colors back as it is")
    format: OutputFormat = Field("same", description="of the answer")

    @property
    def spots(self) -> list[Hint]:
        """The hints in the form that the library takes."""
        return [Hint(spot.x, spot.y, spot.color) for spot in self.hints]


def read_options(fields: Mapping[str, str], limits: Limits) -> Options:
    """Validate a form's fields. Raises `Refusal` (422)."""
    try:
        options = Options.model_validate(dict(fields))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = one_line(".".join(map(str, first["loc"])))
        if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
            raise Refusal(
                422, "bad_option", f"{where}: no such option; allowed: {', '.join(Options.model_fields)}"
            ) from None
        message = first["msg"]
        raise Refusal(422, "bad_option", f"{where}: {message[0].lower()}{message[1:]}") from None
    if len(options.hints) > limits.hints:
        raise Refusal(422, "bad_option", f"hints: {len(options.hints)} are too many; allowed: {limits.hints}")
    return options
