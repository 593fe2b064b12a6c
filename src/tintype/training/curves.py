"""Curves as a CSV file: a line an epoch."""

from __future__ import annotations

import csv
from pathlib import Path

from tintype.training.loop import Record


def write_curves(path: Path, curves: list[Record]) -> None:
    """Write the epochs' records; where an epoch lacks a column (another phase's loss term) its place stays empty."""
    columns = list(dict.fromkeys(name for record in curves for name in record))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(curves)
