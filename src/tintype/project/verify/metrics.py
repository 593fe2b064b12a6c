"""Check of metrics/*.json against the stored weights: every row and baseline is measured again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tintype.config import BASELINE_NAMES
from tintype.errors import UserError
from tintype.paths import FEATURES, LAB_CACHE, METRICS, metrics_of, model_of
from tintype.project.pipeline import Pipeline
from tintype.project.verify.finding import Finding, some

if TYPE_CHECKING:
    from tintype.data.cache import LabCache
    from tintype.metrics.predictor import Predictor

RELATIVE, ABSOLUTE = 1e-4, 1e-6
"""How far another machine's arithmetic may move a metric.

On the same machine, metrics are the same to the last bit. Other convolution kernels, numbers of threads and batch sizes
moved them by at most 2e-6 of their size. The absolute part is for KID, a difference of numbers near 1 that may be 0
itself. Tables show five digits of it.
"""


def check_metrics(pipeline: Pipeline) -> Finding:
    """Measure again what the stages `evaluate` and `baselines` measured, and compare."""
    project, stored = pipeline.project, pipeline.metrics()
    rows = [*BASELINE_NAMES, *pipeline.config().rows]
    files = sorted((project / METRICS).glob("*.json"))
    disagreements = [f"{METRICS}/{file.name}: of no row in params.yaml" for file in files if file.stem not in rows]
    here = [row for row in rows if project / metrics_of(row) in files]
    disagreements += [f"{metrics_of(row)}: not names and numbers" for row in here if row not in stored]

    def lacking(row: str) -> list[str]:
        weights = [] if row in BASELINE_NAMES else [model_of(row)]
        needed = [LAB_CACHE, FEATURES, *weights, metrics_of(row)]
        return [path for path in needed if not (project / path).exists()]

    absent = dict.fromkeys(path for row in rows for path in lacking(row))
    unseen = [f"{some(list(absent))}: not here; `dvc pull` or `dvc repro` brings it"] if absent else []
    measured = 0
    for row in stored:
        if lacking(row):
            continue
        try:
            again = _measured(row, pipeline)
        except UserError as error:  # for example, published weights that are not here
            unseen.append(f"{row}: {error}")
            continue
        except Exception as error:  # damaged files can raise anything
            disagreements.append(f"{row}: cannot be measured: {type(error).__name__}: {' '.join(str(error).split())}")
            continue
        measured += 1
        disagreements += differences(row, stored[row], again)
    return Finding(f"{measured} rows measured again" if measured else "", disagreements, unseen)


def differences(row: str, stored: Mapping[str, float], again: Mapping[str, float]) -> Iterator[str]:
    """Yield a line for every value that differs from the stored one by more than `RELATIVE` and `ABSOLUTE` allow."""
    for name in dict.fromkeys([*stored, *again]):
        then, now = stored.get(name), again.get(name)
        if then is None or now is None:
            told = ("nothing" if value is None else repr(value) for value in (then, now))
            yield "{}: {}: {} stored, {} measured".format(row, name, *told)
        elif not _same(then, now):
            yield f"{row}: {name}: {then!r} stored, {now!r} measured"


def _same(then: float, now: float) -> bool:
    if math.isfinite(then) and math.isfinite(now):
        return abs(now - then) <= RELATIVE * abs(then) + ABSOLUTE
    return then == now or (math.isnan(then) and math.isnan(now))


def _measured(row: str, pipeline: Pipeline) -> dict[str, float]:
    from tintype.data.cache import LabCache
    from tintype.metrics.evaluation import evaluate_project

    project = pipeline.project
    cache = LabCache.open(project / LAB_CACHE)
    return evaluate_project(_predictor(row, project, cache), cache, project / FEATURES, pipeline.config().evaluate)


def _predictor(row: str, project: Path, cache: LabCache) -> Predictor:
    from tintype.devices import default_device
    from tintype.metrics.baselines import BASELINES
    from tintype.metrics.predictor import load_predictor

    if row in BASELINES:
        return BASELINES[row](cache.split("train"))
    return load_predictor(project / model_of(row), default_device())
