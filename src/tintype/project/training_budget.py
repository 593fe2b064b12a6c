"""Sizing of params to the machine: the size of the networks, and the number of epochs that fit into the time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from tintype.config import Phase, Project, validated

MOST_EPOCHS = 200


def fit_to_machine(params: Any, photos: int, splits: Mapping[str, int], classes: int, minutes: float) -> str:
    """Change a project's `params` (from YAML) in place: larger networks on a GPU, and epochs that fill the time.

    The phases of all rows are stretched by one factor, so that they keep the default project's proportions. The factor
    comes from the measured speed of a training step on this machine.

    Args:
        params: params of a whole project.
        photos: number of photos before the filter, which may reject some.
        splits: number of photos that are already in train, validation and test. {}: all photos are still to be split.
        classes: number of classes of the photos.
        minutes: time for training all rows together.
    Returns:
        A line that says what was chosen.
    """
    import torch

    from tintype.training.speed import seconds_a_photo

    if torch.cuda.is_available() and params["generator"]["architecture"] == "unet":
        params["preprocess"]["image_size"] = 256
        params["generator"].update(filters=64, depth=8)
        params["discriminator"].update(filters=64, layers=3)

    project = _project(params)
    if splits:
        drawn = 0 if splits.get("validation") else _number(project.filter.validation, splits["train"])
        for_training = splits["train"] - drawn
    else:
        for_training = photos - sum(
            _number(share, photos) for share in (project.filter.validation, project.filter.test)
        )
    cost = {
        name: seconds_a_photo(row, project.preprocess.image_size, classes, steps=4)
        for name, row in project.rows_resolved().items()
    }
    factor = 60 * minutes / _seconds(project, for_training, cost)
    for training in (params["training"], *(row.get("training", {}) for row in params["rows"].values())):
        for phase in training.get("phases", []):
            phase["epochs"] = max(1, min(MOST_EPOCHS, round(phase["epochs"] * factor)))

    project = _project(params)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{os.cpu_count()} CPU cores"
    return (
        f"{project.preprocess.image_size}x{project.preprocess.image_size} pixels, {project.generator.architecture} "
        f"with {project.generator.filters} filters; "
        f"training takes about {_seconds(project, for_training, cost) / 60:.0f} minutes on {device}"
    )


def _seconds(project: Project, photos: int, cost: Mapping[str, list[float]]) -> float:
    def of(phases: tuple[Phase, ...], costs: list[float]) -> float:
        return sum(phase.epochs * photos * second for phase, second in zip(phases, costs, strict=True))

    return sum(of(row.training.phases, cost[name]) for name, row in project.rows_resolved().items())


def _number(wanted: float | int, photos: int) -> int:
    """Return the size of a split. `filter.validation` and `filter.test` are shares or numbers."""
    return wanted if isinstance(wanted, int) else round(wanted * photos)


def _project(params: Any) -> Project:
    """Return the validated params. They pass through YAML text, because YAML's comment-keeping types are not plain."""
    from ruamel.yaml import YAML
    from ruamel.yaml.compat import StringIO

    text = StringIO()
    YAML().dump(params, text)
    return validated(Project, YAML(typ="safe", pure=True).load(text.getvalue()))
