"""Training curves as a CSV file with one line per epoch."""

from __future__ import annotations

import csv
from pathlib import Path

from tintype.training.progress import Record


def write_curves(path: Path, curves: list[Record]) -> None:
    """Write the epochs' records. A column that an epoch lacks (another phase's loss term) stays empty."""
    columns = list(dict.fromkeys(name for record in curves for name in record))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(curves)
