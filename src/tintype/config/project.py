"""A whole ``params.yaml``: the sections that rows share, and the rows, each a dict of overrides."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pydantic import Field

from tintype.config.row import Discriminator, Generator, Loss, Row, Training
from tintype.config.sections import Data, Evaluate, Features, Filter, Preprocess, PublishedRow, Register
from tintype.config.validation import Section, merged, read_params, validated
from tintype.errors import UserError

BASELINE_NAMES = ("gray", "mean_ab")
"""Baseline rows of every table, which a model must beat. `tintype.metrics.baselines` has their colorizers."""

OVERRIDABLE = ("generator", "discriminator", "loss", "training")


class Project(Section):
    """A whole ``params.yaml``."""

    repo: str = Field(description="path of tintype's checkout, absolute or relative to this project")
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
        description="metrics that others report, by row; the report compares them with ours; {} for none"
    )
    rows: dict[str, Any] = Field(min_length=1)

    def row(self, name: str) -> Row:
        """Return the base sections with the overrides of ``rows.<name>`` merged in, key by key. Lists are replaced."""
        base = {section: getattr(self, section).model_dump() for section in OVERRIDABLE}
        return validated(Row, {"name": name, **merged(base, self.rows[name] or {})}, where=f"rows.{name}")

    def rows_resolved(self) -> dict[str, Row]:
        """Return every row by name. Raises `UserError` at the first invalid row."""
        for name, overrides in self.rows.items():
            if not re.fullmatch(r"[A-Za-z0-9_-]+", name) or name in BASELINE_NAMES:
                raise UserError(
                    f"rows.{name}: allowed names: letters, digits, _ and -; not {', '.join(BASELINE_NAMES)}"
                )
            if not isinstance(overrides, dict | None):
                raise UserError(f"rows.{name} = {overrides!r}: allowed is a dict of overrides, {{}} for none")
            if unknown := sorted(set(overrides or {}) - set(OVERRIDABLE)):
                raise UserError(f"rows.{name}.{unknown[0]}: unknown key; allowed: {', '.join(OVERRIDABLE)}")
        return {name: self.row(name) for name in self.rows}


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
    """Read a row as written by the `configure` stage. Raises `UserError`."""
    return validated(Row, json.loads(path.read_text()), where=str(path))


def _check_sizes(row: Row, image_size: int) -> None:
    """Check that no phase is larger than the photos, and that the photos are large enough for the networks.

    Raises `UserError`.
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
    if row.generator.architecture not in ("resnet18_unet", "timm_unet") and 2**depth >= 2 * side:
        raise UserError(
            f"rows.{row.name}: generator.depth = {depth} with {key} = {side}: each encoder block "
            f"halves the size; allowed: a depth up to {side.bit_length() - (side & (side - 1) == 0)}"
        )
    grid = {"patch": 3, "dense": 2, "unet": 1}  # a projected discriminator pads its input
    if side >> layers < grid.get(row.discriminator.architecture, 0):
        raise UserError(
            f"rows.{row.name}: discriminator.layers = {layers} with {key} = {side}: leaves no "
            "patch to judge; allowed: a larger image_size, or fewer layers"
        )


def _check_measurable(row: Row, project: Project) -> None:
    """Check that the project's other sections provide what a row needs. Raises `UserError`."""
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
    """Raise `UserError` for a class loss on photos without classes."""
    for name, row in project.rows_resolved().items():
        if row.loss.class_weight > 0 and classes < 2:
            raise UserError(
                f"rows.{name}: loss.class_weight = {row.loss.class_weight}: needs photos of at least 2 classes, these "
                f"have {classes}; put each class in a sub-folder, name a CSV in data.labels, or set the weight to 0"
            )
