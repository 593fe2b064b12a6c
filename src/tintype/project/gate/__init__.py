"""The metric gate: did any row of a project drop beyond seed-to-seed noise?"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from tintype.config import FLOOR_NAMES, Gate, validated
from tintype.errors import UserError
from tintype.metrics.registry import check_names
from tintype.project.gate.compare import Compared, compare
from tintype.project.pipeline import Lock, Pipeline, out_hash

__all__ = ["Compared", "check"]


def check(project: Path, against: str) -> list[Compared]:
    """Compare a project's figures with those committed at a revision; nothing is run.

    Raises:
        UserError: they cannot be compared: no such revision, no figures there, no tolerances, or figures here that
            are not of the present code and params.
    """
    pipeline = Pipeline(project)
    config = pipeline.config()
    check_names(config)
    pipeline.commit(against)  # there is such a one
    gate = _gate(pipeline, against) or config.gate
    if gate is None:
        raise UserError("gate: not in params.yaml; `tintype gate --calibrate` measures and writes it")
    then, now = pipeline.figures(against), pipeline.figures()
    if not then:
        raise UserError(f"{against}: has no metrics/*.json of this project; allowed: a revision where it was run")
    stale = {stage: parts for stage, parts in pipeline.stale().items() if stage not in ("report", "register")}
    if stale:
        stage, parts = next(iter(stale.items()))
        raise UserError(
            f"the figures here are not those of the code and params here: {stage}: {parts[0]}; run `dvc repro` first"
        )
    return compare(then, now, gate, _without_chance(pipeline.lock(against), pipeline.lock(), then))


def _gate(pipeline: Pipeline, revision: str) -> Gate | None:
    """The tolerances of a revision, if it has any: no change is judged by those that it brings along."""
    section = pipeline.params(revision).get("gate")
    return validated(Gate, section, where=f"{revision}:gate") if section else None


def _without_chance(then: Lock, now: Lock, rows: Collection[str]) -> list[str]:
    """The floors, and the rows whose weights are those of then."""
    weights = ((row, out_hash(then, f"models/{row}"), out_hash(now, f"models/{row}")) for row in rows)
    return [*FLOOR_NAMES, *(row for row, old, new in weights if old is not None and old == new)]
