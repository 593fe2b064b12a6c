"""Params as typed values, checked before any work.

A lab's ``params.yaml`` is a `Lab`: the sections every row inherits, and ``rows``, each a dict of overrides of
`generator`, `discriminator`, `loss` and `training`. `Lab.row` merges the two into a `Row`, which is all that training
reads. Unknown keys are errors. Every error is one line: the key, the value, what is allowed.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator


class ConfigError(ValueError):
    """A param that cannot be used; the message is one line for the user."""


class Section(BaseModel):
    """Base of every section: no unknown keys, no silent conversions ('32' is not 32), immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Data(Section):
    """Where the photos come from."""

    source: Literal["sample", "folder"] = Field(description="sample: procedural scenes; folder: a tree of photos")
    origin: str = Field(description="what DVC watches for change: the folder of photos, or the module that draws them")
    labels: str | None = Field(
        None, description="folder only: CSV with the columns path,class, in place of sub-folders"
    )
    limit: int | None = Field(None, ge=1, description="use at most so many photos, drawn with `seed`")
    seed: int = Field(1, ge=0)


class Filter(Section):
    """Which photos are kept, and how they are split."""

    chroma_threshold: float = Field(
        4.0, ge=0, le=100, description="99th percentile of chroma (CIE C*ab) under it: gray"
    )
    min_side: int = Field(16, ge=1, description="pixels")
    max_megapixels: float = Field(100.0, gt=0)
    validation: float | int = Field(0.1, ge=0, description="a share (< 1) or a number of photos")
    test: float | int = Field(0.1, gt=0, description="a share (< 1) or a number of photos")
    seed: int = Field(1, ge=0)

    @property
    def max_pixels(self) -> int:
        """The largest photo, pixels."""
        return round(self.max_megapixels * 1e6)


class Preprocess(Section):
    """The Lab cache."""

    image_size: int = Field(64, ge=16, le=1024, description="height and width of the network's photos, pixels")
    fit: Literal["crop", "squash"] = Field(
        "crop", description="crop: short side to size, centre crop; squash: both sides"
    )
    precision: Literal["exact", "uint8"] = Field(
        "exact", description="exact: int16, lossless for RGB8; uint8: half the size"
    )


class Features(Section):
    """The feature network behind FID, KID and LPIPS."""

    network: Literal["in_domain", "imagenet"] = "in_domain"
    filters: int = Field(16, ge=4, le=256, description="in_domain: width of the first block")
    epochs: int = Field(8, ge=1, description="in_domain: training epochs")
    seed: int = Field(1, ge=0)


class Generator(Section):
    """The network from lightness to chroma."""

    name: Literal["unet"] = "unet"
    filters: int = Field(
        64, ge=2, le=512, description="of the first encoder block; later ones have up to 8 times as many"
    )
    depth: int = Field(8, ge=3, le=10, description="encoder blocks, each halves the size")
    dropout: float = Field(0.5, ge=0, lt=1, description="of the decoder's first three blocks and the class head")


class Discriminator(Section):
    """The network that judges (lightness, chroma)."""

    name: Literal["patch"] = "patch"
    filters: int = Field(64, ge=2, le=512)
    layers: int = Field(3, ge=1, le=6, description="blocks of stride 2; 3 see patches of 70x70 pixels")
    norm: Literal["batch", "none"] = "batch"


class Loss(Section):
    """L = adversarial_weight L_adv + l1_weight L1 + l2_weight L2 + class_weight CE, in network units."""

    adversarial: Literal["bce", "wgan_gp"] = "bce"
    adversarial_weight: float = Field(1.0, ge=0)
    l1_weight: float = Field(100.0, ge=0)
    l2_weight: float = Field(0.0, ge=0)
    class_weight: float = Field(
        0.0, ge=0, description="over 0: the generator gets a class branch, the photos need classes"
    )
    real_label: float = Field(0.9, gt=0.5, le=1, description="bce: one-sided label smoothing")
    gradient_penalty_weight: float = Field(10.0, ge=0, description="wgan_gp only")


class Phase(Section):
    """A stretch of training with one set of networks and one learning-rate schedule."""

    train: Literal["generator", "critic", "adversarial"]
    epochs: int = Field(ge=1)
    lr: float = Field(2e-4, gt=0)
    schedule: Literal["constant", "cosine"] = "constant"
    lr_final: float = Field(2e-6, ge=0, description="cosine only: the rate at the phase's end")
    betas: tuple[float, float] = (0.5, 0.999)
    critic_steps: int = Field(1, ge=1, description="critic updates per generator update, each on a fresh batch")

    @model_validator(mode="before")
    @classmethod
    def _betas_from_yaml(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("betas"), list):
            values = {**values, "betas": tuple(values["betas"])}
        return values


class Training(Section):
    """How a row is trained."""

    batch_size: int = Field(8, ge=2, description="photos a step, all processes together")
    seed: int = Field(1, ge=0)
    flip: float = Field(0.5, ge=0, le=1, description="probability of a horizontal flip")
    ema: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="decay of the averaged generator that is kept: over 1/(1-decay) updates; 0: none",
    )
    precision: Literal["auto", "32-true", "bf16-mixed"] = Field(
        "auto", description="auto: bf16-mixed on CUDA, else fp32"
    )
    compile: bool = Field(False, description="torch.compile the generator")
    processes: int = Field(1, ge=1, description="over 1: torchrun, one process a device")
    phases: tuple[Phase, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _phases_from_yaml(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("phases"), list):
            values = {**values, "phases": tuple(values["phases"])}
        return values


class Evaluate(Section):
    """What is measured on the test split."""

    spaces: tuple[Literal["rgb", "lab_planes"], ...] = Field(
        ("rgb",), description="lab_planes: as table A took its numbers"
    )
    batch_size: int = Field(32, ge=1)
    samples: int = Field(3, ge=1, le=16, description="photos each of the best, median and worst in the sample grid")

    @model_validator(mode="before")
    @classmethod
    def _spaces_from_yaml(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("spaces"), list):
            values = {**values, "spaces": tuple(values["spaces"])}
        return values


class Register(Section):
    """Which row becomes the registered model."""

    model: str = Field("colorizer", min_length=1, pattern=r"^[A-Za-z0-9_.-]+$")
    metric: str = Field("ciede2000", description="a name of tintype.metrics.METRICS")


class Row(Section):
    """All that the training of one row reads: the base with the row's overrides applied."""

    name: str
    generator: Generator
    discriminator: Discriminator
    loss: Loss
    training: Training

    @model_validator(mode="after")
    def _makes_sense(self) -> Row:
        if self.loss.adversarial == "wgan_gp" and self.discriminator.norm == "batch":
            raise ValueError(
                "discriminator.norm = 'batch' with loss.adversarial = 'wgan_gp': the gradient penalty is per photo, "
                "batch norm mixes photos; allowed: 'none'"
            )
        return self


FLOOR_NAMES = ("gray", "mean_ab")
"""Rows of every table: what a model must beat. `tintype.metrics.floors` has their colorizers."""

OVERRIDABLE = ("generator", "discriminator", "loss", "training")


class Lab(Section):
    """A whole ``params.yaml``."""

    repo: str = Field(description="tintype's checkout, seen from this lab")
    data: Data
    filter: Filter
    preprocess: Preprocess
    features: Features
    generator: Generator
    discriminator: Discriminator
    loss: Loss
    training: Training
    evaluate: Evaluate
    register_: Register = Field(alias="register")
    rows: dict[str, Any] = Field(min_length=1)

    def row(self, name: str) -> Row:
        """The base sections with the overrides of ``rows.<name>`` merged in, key by key; lists are replaced."""
        base = {section: getattr(self, section).model_dump() for section in OVERRIDABLE}
        return validated(Row, {"name": name, **merged(base, self.rows[name] or {})}, where=f"rows.{name}")

    def rows_resolved(self) -> dict[str, Row]:
        """Every row by name. Raises `ConfigError` at the first that cannot be."""
        for name, overrides in self.rows.items():
            if not re.fullmatch(r"[A-Za-z0-9_-]+", name) or name in FLOOR_NAMES:
                raise ConfigError(f"rows.{name}: allowed names: letters, digits, _ and -; not {', '.join(FLOOR_NAMES)}")
            if not isinstance(overrides, dict | None):
                raise ConfigError(f"rows.{name} = {overrides!r}: allowed is a dict of overrides, {{}} for none")
            if unknown := sorted(set(overrides or {}) - set(OVERRIDABLE)):
                raise ConfigError(f"rows.{name}.{unknown[0]}: unknown key; allowed: {', '.join(OVERRIDABLE)}")
        return {name: self.row(name) for name in self.rows}


S = TypeVar("S", bound=Section)


def validated(model: type[S], values: Any, where: str = "") -> S:
    """`values` as a `model`. Raises `ConfigError`: one line with key, value and what is allowed."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_one_line(error, model, where)) from None


def merged(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A deep copy of `base` with `overrides` on top: dicts merge key by key, everything else is replaced."""
    result = copy.deepcopy(dict(base))
    for key, value in overrides.items():
        nested = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if nested else copy.deepcopy(value)
    return result


def load_lab(params: Path) -> Lab:
    """Read and check a whole ``params.yaml``, its rows included. Raises `ConfigError`."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        # YAML 1.2, as DVC reads it: there 1e-4 is a number.
        values = YAML(typ="safe", pure=True).load(params.read_text())
    except FileNotFoundError:
        raise ConfigError(f"{params}: no such file; a lab has a params.yaml (`tintype init-lab` writes one)") from None
    except YAMLError as error:
        raise ConfigError(f"{params}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{params}: allowed is a mapping of sections, found {type(values).__name__}")
    lab = validated(Lab, values)
    for row in lab.rows_resolved().values():
        _check_sizes(row, lab.preprocess.image_size)
    return lab


def load_row(path: Path) -> Row:
    """Read a row as the `configure` stage wrote it. Raises `ConfigError`."""
    import json

    return validated(Row, json.loads(path.read_text()), where=str(path))


def _check_sizes(row: Row, image_size: int) -> None:
    """Refuse networks that the photos are too small for, before any work. Raises `ConfigError`."""
    depth, layers = row.generator.depth, row.discriminator.layers
    if image_size % 2**depth:
        raise ConfigError(
            f"rows.{row.name}: generator.depth = {depth} with preprocess.image_size = {image_size}: each encoder block "
            f"halves the size; allowed: an image_size that is a multiple of {2**depth}, or a smaller depth"
        )
    if image_size >> layers < 3:
        raise ConfigError(
            f"rows.{row.name}: discriminator.layers = {layers} with preprocess.image_size = {image_size}: leaves no "
            f"patch to judge; allowed: an image_size from {3 * 2**layers}, or fewer layers"
        )


def check_classes(lab: Lab, classes: int) -> None:
    """Refuse a class loss on photos that have no classes. Raises `ConfigError`."""
    for name, row in lab.rows_resolved().items():
        if row.loss.class_weight > 0 and classes < 2:
            raise ConfigError(
                f"rows.{name}: loss.class_weight = {row.loss.class_weight}: needs photos of at least 2 classes, these "
                f"have {classes}; put each class in a sub-folder, name a CSV in data.labels, or set the weight to 0"
            )


def _one_line(error: ValidationError, model: type[BaseModel], where: str) -> str:
    first = error.errors()[0]
    location = [str(part) for part in first["loc"]]
    key = ".".join(([where] if where else []) + location)
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        return f"{key}: unknown key; allowed: {', '.join(_keys_at(model, location[:-1]))}"
    if first["type"] == "missing":
        return f"{key}: missing; it must be given"
    if not location:
        return f"{where}: {message}" if where else message
    return f"{key} = {first['input']!r}: {message[0].lower()}{message[1:]}"


def _keys_at(model: type[BaseModel], location: list[str]) -> list[str]:
    """The keys allowed in the section at `location`."""
    for part in location:
        field = model.model_fields.get(part) or next((f for f in model.model_fields.values() if f.alias == part), None)
        kinds = [] if field is None else [field.annotation, *getattr(field.annotation, "__args__", ())]
        inner = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if inner is not None:
            model = inner
    return [field.alias or name for name, field in model.model_fields.items()]
