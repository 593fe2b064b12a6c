"""Tolerances from the spread of figures over seeds."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy.optimize import linprog

from tintype.config import Tolerance
from tintype.metrics.registry import metric_of

DEVIATIONS = 7.0
"""Tolerance over the standard deviation of one run. Of the difference of two it is 5, as far as a few seeds know it:
with five, 7 is passed by 99.6 % of honest figures of the row that fixes a line; with ten, by 99.97 %."""


def tolerances(spread: pd.DataFrame) -> dict[str, Tolerance]:
    """By metric, the lowest line ``absolute + relative * |figure|`` that lies over every row's spread.

    Args:
        spread: of the same project with several seeds: columns ``row``, ``seed``, and one a metric.
    """
    by_row = spread.drop(columns="seed").groupby("row")
    size, deviation = by_row.mean().abs(), by_row.std(ddof=1) * DEVIATIONS
    return {metric: _tolerance(metric, size[metric], deviation[metric]) for metric in size.columns}


def _tolerance(metric: str, size: pd.Series, deviation: pd.Series) -> Tolerance:
    direction, digits = metric_of(metric).direction or "none", metric_of(metric).digits
    by_chance = deviation > 0  # nan where a row does not have the metric
    size, deviation = size[by_chance], deviation[by_chance]
    if deviation.empty:
        return Tolerance(direction=direction, absolute=10.0**-digits, relative=0.0)
    # Lowest: the sum of the line's heights over the rows is least; two unknowns, both at least 0.
    over = np.column_stack([np.ones(len(size)), size])
    line = linprog(over.sum(axis=0), A_ub=-over, b_ub=-deviation.to_numpy()).x
    absolute, relative = (_up(float(value)) for value in line)
    return Tolerance(direction=direction, absolute=absolute, relative=relative)


def _up(value: float) -> float:
    """Rounded up to two significant digits: a params file is read by people."""
    if value <= 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(round(value / step, 6)) * step:.2g}")
