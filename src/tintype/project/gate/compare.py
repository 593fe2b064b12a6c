"""Comparison of metrics now and at a revision: which differences are more than seed-to-seed noise."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from enum import StrEnum
from typing import NamedTuple

from tintype.config import BASELINE_NAMES
from tintype.metrics.registry import metric_of
from tintype.project.gate.tolerances import Tolerances
from tintype.project.pipeline import Metrics


class Verdict(StrEnum):
    """Verdict on a value. `fails` says whether it closes the gate."""

    SAME = "same"
    """Within the tolerance."""
    IMPROVED = "improved"
    """Better by more than noise."""
    NEW = "new"
    """There was no value before."""
    WORSE = "worse"
    """Worse by more than noise."""
    MOVED = "moved"
    """Beyond the tolerance where neither direction counts as better: for some metrics, and for all baselines."""
    TOO_GOOD = "too good"
    """Better than any honest change explains: suspect a leak."""
    MISSING = "missing"
    """There is no value anymore, or it is not a number."""
    NOT_JUDGED = "not judged"
    """There is no tolerance to judge the value by."""

    @property
    def fails(self) -> bool:
        """Whether a single such value closes the gate."""
        return self in (Verdict.WORSE, Verdict.MOVED, Verdict.TOO_GOOD, Verdict.MISSING)


class Compared(NamedTuple):
    """A value of a row, then and now."""

    row: str
    metric: str
    then: float | None
    now: float | None
    tolerance: float | None
    """In the metric's unit. None: there is no tolerance, or only one value."""
    verdict: Verdict
    why: str = ""
    """A short explanation where the verdict alone does not say enough."""


def compare(then: Metrics, now: Metrics, allowed: Tolerances, without_chance: Collection[str]) -> list[Compared]:
    """Compare every value that there is or was, row by row.

    A tolerance covers the chance in training. The rows `without_chance`, which are the baselines and those with the old
    weights, involve no chance: every metric must stay the same to the last digit that tables show. It moves only if the
    test photos, the measurement or the feature network changed. Such a move fails in either direction: results that
    become better although no weight changed are a sign of a leak. In other rows, a metric without a tolerance is not
    judged.

    Args:
        then: metrics of the revision.
        now: metrics of the project.
        allowed: tolerances by row and metric.
        without_chance: rows whose colors are, by construction, exactly those of `then`.
    """
    return [
        _compared(row, metric, then.get(row), now.get(row), allowed, exact=row in without_chance)
        for row in _union(then, now)
        for metric in _union(then.get(row, {}), now.get(row, {}))
    ]


def _compared(
    row: str,
    metric: str,
    row_then: dict[str, float] | None,
    row_now: dict[str, float] | None,
    allowed: Tolerances,
    *,
    exact: bool,
) -> Compared:
    then, now = (row_then or {}).get(metric), (row_now or {}).get(metric)
    if then is None:
        verdict = Verdict.NEW if is_number(now) else Verdict.MISSING
        return Compared(row, metric, then, now, None, verdict)
    if not is_number(now):
        why = "the row is gone" if row_now is None else "the row no longer has it" if now is None else "not a number"
        return Compared(row, metric, then, now, None, Verdict.MISSING, why)
    if not is_number(then):
        return Compared(row, metric, then, now, None, Verdict.NEW, "there was no number")
    assert now is not None
    direction, digits = metric_of(metric).direction, metric_of(metric).digits
    if exact:
        tolerance, reason = 10.0**-digits, "no weight changed: the photos, the measuring or its network did"
    elif (measured := allowed.of(row, metric)) is not None:
        tolerance, reason = measured, ""
    else:
        why = "it has no tolerance, `tintype calibrate` measures one"
        return Compared(row, metric, then, now, None, Verdict.NOT_JUDGED, why)
    gain = then - now if direction == "min" else now - then
    if abs(gain) <= tolerance:
        verdict, reason = Verdict.SAME, ""
    elif row in BASELINE_NAMES:
        verdict, reason = Verdict.MOVED, "nothing is trained in it: the photos, the measuring or its network changed"
    elif direction is None:
        verdict = Verdict.MOVED
    elif gain < 0:
        verdict = Verdict.WORSE
    elif exact:
        verdict = Verdict.TOO_GOOD
    elif gain > allowed.too_good * tolerance:
        verdict, reason = Verdict.TOO_GOOD, f"by more than {allowed.too_good:g} tolerances: a leak?"
    else:
        verdict = Verdict.IMPROVED
    return Compared(row, metric, then, now, tolerance, verdict, reason)


def is_number(value: float | None) -> bool:
    """Return whether there is a value, and it is finite."""
    return value is not None and math.isfinite(value)


def _union(*names: Collection[str]) -> Iterator[str]:
    """Return every name once, in order of first appearance."""
    return iter(dict.fromkeys(name for some in names for name in some))
