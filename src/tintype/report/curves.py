"""The curves of all rows in one long table, for one chart."""

from __future__ import annotations

from pathlib import Path

import pandas as pd


def write_all_curves(rows: list[str], folder: Path, out: Path) -> None:
    """Stack each row's curves (one CSV a row, one line an epoch) under a first column ``row``."""
    tables = [pd.read_csv(folder / f"{row}.csv").assign(row=row) for row in rows]
    stacked = pd.concat(tables, ignore_index=True)
    if "val_ciede2000" not in stacked:  # no validation photos: the chart stays empty, but it opens
        stacked["val_ciede2000"] = float("nan")
    stacked[["row", *stacked.columns.drop("row")]].to_csv(out, index=False)
