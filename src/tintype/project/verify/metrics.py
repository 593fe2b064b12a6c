"""metrics/*.json against the stored weights: every row and floor measured again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tintype.config import FLOOR_NAMES
from tintype.errors import UserError
from tintype.project.pipeline import Pipeline
from tintype.project.verify.finding import Finding, some

if TYPE_CHECKING:
    from tintype.data.cache import LabCache
    from tintype.metrics.project_evaluation import Measured

RELATIVE, ABSOLUTE = 1e-4, 1e-6
"""What another machine's arithmetic may change. On the same machine figures are the same to the last bit; other
convolution kernels, numbers of threads and batch sizes moved them by 2e-6 of their size at most. The absolute part is
for KID, a difference of numbers near 1 that may be 0 itself; tables show five digits of it."""


def check_metrics(pipeline: Pipeline) -> Finding:
    """Measure what the stages `evaluate` and `floors` measured, and compare."""
    project, stored = pipeline.project, pipeline.figures()
    rows = [*FLOOR_NAMES, *pipeline.config().rows]
    files = sorted((project / "metrics").glob("*.json"))
    disagreements = [f"metrics/{file.name}: of no row in params.yaml" for file in files if file.stem not in rows]
    here = [row for row in rows if project / f"metrics/{row}.json" in files]
    disagreements += [f"metrics/{row}.json: not names and numbers" for row in here if row not in stored]

    def lacking(row: str) -> list[str]:
        weights = [] if row in FLOOR_NAMES else [f"models/{row}"]
        needed = ["data/lab", "data/features", *weights, f"metrics/{row}.json"]
        return [path for path in needed if not (project / path).exists()]

    absent = dict.fromkeys(path for row in rows for path in lacking(row))
    unseen = [f"{some(list(absent))}: not here; `dvc pull` or `dvc repro` brings it"] if absent else []
    measured = 0
    for row in stored:
        if lacking(row):
            continue
        try:
            again = _measured(row, pipeline)
        except UserError as error:  # published weights that are not here, say
            unseen.append(f"{row}: {error}")
            continue
        except Exception as error:  # damaged files raise what they like
            disagreements.append(f"{row}: cannot be measured: {type(error).__name__}: {' '.join(str(error).split())}")
            continue
        measured += 1
        disagreements += differences(row, stored[row], again)
    return Finding(f"{measured} rows measured again" if measured else "", disagreements, unseen)


def differences(row: str, stored: Mapping[str, float], again: Mapping[str, float]) -> Iterator[str]:
    """A line for every figure that is not the stored one, but for `RELATIVE` and `ABSOLUTE`."""
    for name in dict.fromkeys([*stored, *again]):
        then, now = stored.get(name), again.get(name)
        if then is None or now is None:
            told = ("nothing" if figure is None else repr(figure) for figure in (then, now))
            yield "{}: {}: {} stored, {} measured".format(row, name, *told)
        elif not _same(then, now):
            yield f"{row}: {name}: {then!r} stored, {now!r} measured"


def _same(then: float, now: float) -> bool:
    if math.isfinite(then) and math.isfinite(now):
        return abs(now - then) <= RELATIVE * abs(then) + ABSOLUTE
    return then == now or (math.isnan(then) and math.isnan(now))


def _measured(row: str, pipeline: Pipeline) -> dict[str, float]:
    from tintype.data.cache import LabCache
    from tintype.metrics.project_evaluation import measure

    project = pipeline.project
    cache = LabCache.open(project / "data/lab")
    return measure(_colorizer(row, project, cache), cache, project / "data/features", pipeline.config().evaluate)


def _colorizer(row: str, project: Path, cache: LabCache) -> Measured:
    from tintype.metrics.baselines import FLOORS
    from tintype.metrics.project_evaluation import Measured, trained

    return Measured(FLOORS[row](cache.split("train"))) if row in FLOORS else trained(project / "models" / row)
