"""Params as typed values, checked before any work.

A project's ``params.yaml`` is a `Project`: the sections that every row inherits, and ``rows``. Each row is a dict of
overrides of `generator`, `discriminator`, `loss` and `training`. `Project.row` merges the two into a `Row`, which is
all that training reads. Unknown keys are errors. Every error is one line with the key, its value and what is allowed.
"""

from tintype.config.project import BASELINE_NAMES, OVERRIDABLE, Project, check_classes, load_project, load_row
from tintype.config.row import Discriminator, Generator, Loss, Phase, Row, Training
from tintype.config.sections import (
    Data,
    Evaluate,
    Features,
    Filter,
    Preprocess,
    PublishedRow,
    Register,
)
from tintype.config.validation import Section, merged, read_params, validated

__all__ = [
    "BASELINE_NAMES",
    "OVERRIDABLE",
    "Data",
    "Discriminator",
    "Evaluate",
    "Features",
    "Filter",
    "Generator",
    "Loss",
    "Phase",
    "Preprocess",
    "Project",
    "PublishedRow",
    "Register",
    "Row",
    "Section",
    "Training",
    "check_classes",
    "load_project",
    "load_row",
    "merged",
    "read_params",
    "validated",
]
