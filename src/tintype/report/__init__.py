"""What people look at: the table of rows, the chart of curves, the page that `dvc plots show` opens offline."""

from __future__ import annotations

from pathlib import Path

from tintype.metrics import FLOOR_NAMES
from tintype.report.curves import write_all_curves
from tintype.report.page import write_page
from tintype.report.table import best_row, read_metrics, write_table

__all__ = ["best_row", "read_metrics", "write_report", "write_table"]


def write_report(rows: list[str], metrics: Path, curves: Path, out: Path) -> None:
    """Write ``table.md``, ``table.csv``, ``curves.csv`` and ``page.html`` into `out`; the floors lead the table."""
    out.mkdir(parents=True, exist_ok=True)
    write_table(read_metrics(metrics, [*FLOOR_NAMES, *rows]), out)
    write_all_curves(rows, curves, out / "curves.csv")
    write_page(out / "page.html")
