"""Verification of a finished project: do its files agree with what is recorded about them?"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tintype.errors import UserError
from tintype.project.pipeline import Pipeline
from tintype.project.verify.champion import check_champion
from tintype.project.verify.files import check_files
from tintype.project.verify.finding import Finding
from tintype.project.verify.metrics import check_metrics
from tintype.project.verify.table import check_table

__all__ = ["CHECKS", "Finding", "verify"]

CHECKS: dict[str, Callable[[Pipeline], Finding]] = {
    "files": check_files,
    "metrics": check_metrics,
    "table": check_table,
    "champion": check_champion,
}


def verify(pipeline: Pipeline) -> Iterator[tuple[str, Finding]]:
    """Run every check, and yield its name and finding. Nothing in the project is changed.

    Raises:
        UserError: the project cannot be verified, because its params are invalid or it never ran.
    """
    pipeline.config()
    if not pipeline.lock():
        raise UserError(f"{pipeline.project}: no dvc.lock here, it never ran; `dvc repro` runs it")
    for name, check in CHECKS.items():
        yield name, check(pipeline)
