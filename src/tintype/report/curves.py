"""The curves of all rows in one long table, for one chart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from tintype.errors import UserError


def read_curves(folder: Path, rows: list[str]) -> dict[str, pd.DataFrame]:
    """Return each row's curves, read from one CSV file per row with one line per epoch.

    Raises `UserError` if one cannot be read.
    """
    return {row: _curves_in(folder / f"{row}.csv") for row in rows}


def _curves_in(path: Path) -> pd.DataFrame:
    try:
        curves = pd.read_csv(path)
    except ValueError:  # also what pandas and the text's decoding raise
        curves = pd.DataFrame()
    if "epoch" not in curves:
        raise UserError(f"{path}: damaged, no curves by epoch; `dvc repro -s -f train@{path.stem}` makes it")
    return curves


def write_all_curves(curves: Mapping[str, pd.DataFrame], out: Path) -> None:
    """Stack the rows' curves under a first column ``row``."""
    stacked = pd.concat([table.assign(row=row) for row, table in curves.items()], ignore_index=True)
    if "val_ciede2000" not in stacked:  # no validation photos: the chart stays empty, but it opens
        stacked["val_ciede2000"] = float("nan")
    stacked[["row", *stacked.columns.drop("row")]].to_csv(out, index=False)
