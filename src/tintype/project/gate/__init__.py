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
    """Compare a project's metrics with those committed at a revision. Nothing is run.

    Raises:
        UserError: they cannot be compared: there is no such revision, there are no metrics at it, there are no
            tolerances, or the metrics here do not belong to the current code and params.
    """
    pipeline = Pipeline(project)
    config = pipeline.config()
    check_names(config)
    pipeline.commit(against)  # raises if there is no such revision
    present = read_tolerances(pipeline)  # refused if invalid, even if it does not count
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
    """Return a project's tolerances, now or at a revision, or None if it has none. Raises `UserError`.

    A change is never judged by tolerances that it brings along: those of the revision count.
    """
    values = pipeline.yaml(GATE, revision)
    return checked(values, f"{revision}:{GATE}" if revision else GATE) if values else None


def _without_chance(then: Lock, now: Lock, rows: Collection[str]) -> list[str]:
    """Return the baselines, and the rows whose weights have not changed since."""
    weights = ((row, out_hash(then, model_of(row)), out_hash(now, model_of(row))) for row in rows)
    return [*BASELINE_NAMES, *(row for row, old, new in weights if old is not None and old == new)]
