"""Validation of plain values as sections. Errors are one line with the key, its value and what is allowed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from tintype.errors import UserError

RENAMED = {
    "generator.name": "generator.architecture",
    "discriminator.name": "discriminator.architecture",
    "features.torchvision": "features.fid_torchvision",
    "loss.clip": "loss.weight_clip",
    "training.flip": "training.hflip_probability",
    "training.degrade": "training.degradation_probability",
    "training.ema": "training.ema_decay",
    "phases.critic_steps": "discriminator_steps",
    "figures": "metrics",
    "gate": "gate.yaml, a file of its own, which `tintype calibrate` writes",
}
"""Renamed keys -> their new names. An old key is given by the end of its path, without list indices."""


class Section(BaseModel):
    """Base of all sections: immutable, without unknown keys, silent conversions ('32' is not 32) and infinities."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


S = TypeVar("S", bound=Section)


def validated(model: type[S], values: Any, where: str = "") -> S:
    """Return `values` as a `model`. Raises `UserError`, one line with the key, its value and what is allowed."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise UserError(_one_line(error, model, where)) from None


def merged(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return a deep copy of `base` with `overrides` on top. Dicts merge key by key; everything else is replaced."""
    result = copy.deepcopy(dict(base))
    for key, value in overrides.items():
        nested = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if nested else copy.deepcopy(value)
    return result


def read_params(params: Path) -> dict[str, Any]:
    """Return a ``params.yaml`` as plain values, unchecked. Raises `UserError` if it is not a mapping."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        # YAML 1.2, like DVC. In YAML 1.2, 1e-4 is a number.
        values = YAML(typ="safe", pure=True).load(params.read_text())
    except FileNotFoundError:
        raise UserError(f"{params}: no such file; a project has a params.yaml (`tintype init` writes one)") from None
    except (YAMLError, ValueError, RecursionError) as error:  # RecursionError: nested too deeply, or in itself
        raise UserError(f"{params}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UserError(f"{params}: allowed is a mapping of sections, found {type(values).__name__}")
    return values


def _one_line(error: ValidationError, model: type[BaseModel], where: str) -> str:
    first = error.errors()[0]
    location = [str(part) for part in first["loc"]]
    key = ".".join(([where] if where else []) + location)
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        named = "." + ".".join(part for part in key.split(".") if not part.isdecimal())
        for old, new in RENAMED.items():
            if named.endswith(f".{old}"):
                return f"{key}: is now {new}"
        return f"{key}: unknown key; allowed: {', '.join(_keys_at(model, location[:-1]))}"
    if first["type"] == "missing":
        return f"{key}: missing; it must be given"
    if not location:
        return f"{where}: {message}" if where else message
    return f"{key} = {first['input']!r}: {message[0].lower()}{message[1:]}"


def _keys_at(model: type[BaseModel], location: list[str]) -> list[str]:
    """Return the keys allowed in the section at `location`."""
    for part in location:
        field = model.model_fields.get(part) or next((f for f in model.model_fields.values() if f.alias == part), None)
        kinds = [] if field is None else [field.annotation, *getattr(field.annotation, "__args__", ())]
        inner = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if inner is not None:
            model = inner
    return [field.alias or name for name, field in model.model_fields.items()]
