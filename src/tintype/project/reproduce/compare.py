"""Comparison of a run with its reproduction: identical to the bit, or within what another machine explains."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

HASHES = {"config": "config_sha256", "photos": "data_sha256", "weights": "weights_sha256"}
"""What is compared by its hash, and the run's tag that has the hash."""
ENVIRONMENT = ("torch", "device", "threads")
"""Tags of what decides the last digits, see `tintype.devices.environment`."""
UNKNOWN = "unknown"
Environment = dict[str, tuple[str, str]]
"""Those of torch, device and threads that differ or are unknown: their values then and now."""


class Verdict(StrEnum):
    """Verdict on one thing compared."""

    IDENTICAL = "identical"
    """To the bit."""
    WITHIN = "within tolerance"
    """Off by no more than the gate attributes to chance, in another environment."""
    DIFFERS = "differs"
    UNCOMPARED = "not compared"
    """Only one of the two has it, or the environment differs and the gate has no tolerance for it."""


class Finding(NamedTuple):
    """One thing compared, then and now."""

    what: str
    then: str
    now: str
    verdict: Verdict
    fails: bool


class Reproduction(NamedTuple):
    """The result of reproducing a run."""

    findings: list[Finding]
    environment: Environment

    @property
    def failed(self) -> bool:
        """Whether anything differs that another environment does not explain."""
        return any(finding.fails for finding in self.findings)

    def __str__(self) -> str:
        """Return aligned columns, and a summary line."""
        cells = [("", "then", "now", ""), *(finding[:4] for finding in self.findings)]
        cells += [(name, *pair, UNKNOWN if UNKNOWN in pair else "differs") for name, pair in self.environment.items()]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)).rstrip() for row in cells]
        return "\n".join([*lines, self._summary()])

    def _summary(self) -> str:
        changed = ", ".join(f"{name} was {then}, is {now}" for name, (then, now) in self.environment.items())
        if any(finding.what == "photos" and finding.fails for finding in self.findings):
            return "not reproduced: the project's photos are not those of the run"
        if self.failed:
            named = ", ".join(finding.what for finding in self.findings if finding.fails)
            return f"not reproduced: not the same: {named}; {changed or 'torch, device and threads are the same'}"
        if all(finding.verdict in (Verdict.IDENTICAL, Verdict.UNCOMPARED) for finding in self.findings):
            return "reproduced: identical to the bit"
        return f"reproduced: every metric within the gate's tolerance; {changed}"


def other_photos(then: str, now: str) -> Reproduction:
    """Return the result for photos that are not those of the run, which training could not fix."""
    return Reproduction([_of_hash("photos", then, now, excused=False)], {})


def compare(
    then: Mapping[str, str],
    metrics_then: Mapping[str, float],
    now: Mapping[str, str],
    metrics_now: Mapping[str, float],
    tolerances: Mapping[str, float] | None,
) -> Reproduction:
    """Compare hashes, then test metrics.

    In the same environment, everything must be identical. In another one, weights are judged by their metrics, and
    these by the gate's tolerances. Photos must still be the same.

    Args:
        then, now: tags of the run and of its reproduction.
        metrics_then, metrics_now: their metrics. Those named ``test_...`` are compared.
        tolerances: tolerances of the row by metric. None: no metric may move.
    """
    environment = {}
    for name in ENVIRONMENT:
        before, after = then.get(name, UNKNOWN), now.get(name, UNKNOWN)
        if before != after or UNKNOWN in (before, after):
            environment[name] = (before, after)
    metrics = [
        _of_metric(name.removeprefix("test_"), metrics_then.get(name), metrics_now.get(name), environment, tolerances)
        for name in sorted(metrics_then.keys() | metrics_now.keys())
        if name.startswith("test_")
    ]
    judged = bool(environment) and any(finding.verdict is not Verdict.UNCOMPARED for finding in metrics)
    hashes = [
        _of_hash(what, then[tag], now.get(tag, UNKNOWN), excused=judged and what != "photos")
        for what, tag in HASHES.items()
        if tag in then
    ]
    return Reproduction([*hashes, *metrics], environment)


def _of_hash(what: str, then: str, now: str, *, excused: bool) -> Finding:
    verdict = Verdict.IDENTICAL if then == now else Verdict.DIFFERS
    return Finding(what, then[:16], now[:16], verdict, verdict is Verdict.DIFFERS and not excused)


def _of_metric(
    metric: str,
    then: float | None,
    now: float | None,
    environment: Environment,
    tolerances: Mapping[str, float] | None,
) -> Finding:
    def found(verdict: Verdict) -> Finding:
        shown = ["-" if value is None else f"{value:.10g}" for value in (then, now)]
        return Finding(metric, shown[0], shown[1], verdict, verdict is Verdict.DIFFERS)

    if then is None or now is None:
        return found(Verdict.UNCOMPARED)
    if then == now or (math.isnan(then) and math.isnan(now)):
        return found(Verdict.IDENTICAL)
    if tolerances is None or not environment:
        return found(Verdict.DIFFERS)
    if metric not in tolerances:
        return found(Verdict.UNCOMPARED)
    return found(Verdict.WITHIN if abs(now - then) <= tolerances[metric] else Verdict.DIFFERS)
