"""The metric gate: did any row of a project drop beyond seed-to-seed noise?"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from tintype.config import BASELINE_NAMES
from tintype.errors import UserError
from tintype.metrics.registry import check_names
from tintype.paths import GATE, model_of
from tintype.project.gate.compare import Compared, compare
from tintype.project.gate.tolerances import Tolerances, checked
from tintype.project.pipeline import Lock, Pipeline, out_hash

__all__ = ["Compared", "check", "read_tolerances"]


def check(project: Path, against: str) -> list[Compared]:
    """Compare a project's metrics with those committed at a revision; nothing is run.

    Raises:
        UserError: they cannot be compared: no such revision, no metrics there, no tolerances, or metrics here that
            are not of the present code and params.
    """
    pipeline = Pipeline(project)
    config = pipeline.config()
    check_names(config)
    pipeline.commit(against)  # there is such a one
    present = read_tolerances(pipeline)  # refused if it makes no sense, also where it does not count
    allowed = read_tolerances(pipeline, against) or present
    if allowed is None:
        raise UserError(f"{GATE}: no such file; `tintype calibrate` measures the tolerances and writes it")
    then, now = pipeline.metrics(against), pipeline.metrics()
    if not then:
        raise UserError(f"{against}: has no metrics/*.json of this project; allowed: a revision where it was run")
    stale = {stage: parts for stage, parts in pipeline.stale().items() if stage not in ("report", "register")}
    if stale:
        stage, parts = next(iter(stale.items()))
        raise UserError(
            f"the metrics here are not those of the code and params here: {stage}: {parts[0]}; run `dvc repro` first"
        )
    return compare(then, now, allowed, _without_chance(pipeline.lock(against), pipeline.lock(), then))


def read_tolerances(pipeline: Pipeline, revision: str | None = None) -> Tolerances | None:
    """A project's tolerances, now or at a revision, if it has any. Raises `UserError`.

    No change is judged by tolerances that it brings along: those of the revision count.
    """
    values = pipeline.yaml(GATE, revision)
    return checked(values, f"{revision}:{GATE}" if revision else GATE) if values else None


def _without_chance(then: Lock, now: Lock, rows: Collection[str]) -> list[str]:
    """The baselines, and the rows whose weights are those of then."""
    weights = ((row, out_hash(then, model_of(row)), out_hash(now, model_of(row))) for row in rows)
    return [*BASELINE_NAMES, *(row for row, old, new in weights if old is not None and old == new)]
