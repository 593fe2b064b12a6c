"""How far a metric of a row moves by chance: ``gate.yaml``, and its computation from the metrics of several seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

import pandas as pd
from pydantic import Field

from tintype.config import BASELINE_NAMES
from tintype.config.validation import Section, validated
from tintype.errors import UserError
from tintype.metrics.registry import metric_of
from tintype.paths import GATE

DEVIATIONS = 7.0
"""Tolerance in standard deviations of one run. These are 4.95 standard deviations of the difference of two runs.

With ten seeds, the standard deviation itself is uncertain, so the difference of two honest runs follows Student's t
with nine degrees of freedom. One metric of one row gets worse by more than this in 1 of 2,500 reruns.
"""

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Tolerances(Section):
    """The content of a ``gate.yaml``."""

    too_good: float = Field(
        gt=1, description="an improvement of more than so many tolerances is a leak until explained"
    )
    measured: dict[str, str | int] = Field(description="seeds, and the machine: torch, device, threads")
    tolerances: dict[str, dict[str, Amount]] = Field(
        min_length=1, description="by row and full name of the metric, in its unit"
    )

    def of(self, row: str, metric: str) -> float | None:
        """Return how far a metric of a row may move, or None if that was not measured."""
        return self.tolerances.get(row, {}).get(metric)


def checked(values: Mapping[str, object], where: str = GATE) -> Tolerances:
    """Return the validated content of a ``gate.yaml``. Raises `UserError`."""
    found = validated(Tolerances, values, where=where)
    for row, of_row in found.tolerances.items():
        for metric in of_row:
            try:
                metric_of(metric)
            except UserError as error:
                raise UserError(f"{where}: tolerances.{row}: {error}") from None
    return found


def tolerances(seed_metrics: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return `DEVIATIONS` standard deviations over the seeds by row and metric, rounded up to two digits.

    A metric that no seed changes gets the last digit that a table shows. Rows that no seed changes get no tolerance:
    the baselines, and rows with a ``training.seed`` of their own, whose spread these runs do not show.

    Args:
        seed_metrics: metrics of one project with several seeds: columns ``row``, ``seed``, and one per metric.
    """
    trained = seed_metrics[~seed_metrics["row"].isin(BASELINE_NAMES)]
    deviations = trained.drop(columns="seed").groupby("row", sort=False).std(ddof=1)
    deviations = deviations[(deviations > 0).any(axis=1)]
    return {
        str(row): {str(metric): _tolerance(str(metric), deviation) for metric, deviation in of_row.dropna().items()}
        for row, of_row in deviations.iterrows()
    }


def _tolerance(metric: str, deviation: float) -> float:
    return max(_up(DEVIATIONS * deviation), 10.0 ** -metric_of(metric).digits)


def _up(value: float) -> float:
    """Round up to two significant digits, because people read the file."""
    if value <= 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(round(value / step, 6)) * step:.2g}")
