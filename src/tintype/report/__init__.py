"""The report: the table of rows, the chart of curves, and the page that `dvc plots show` opens offline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tintype.config import BASELINE_NAMES, PublishedRow
from tintype.report.comparison import comparison, discriminators
from tintype.report.curves import read_curves, write_all_curves
from tintype.report.page import write_page
from tintype.report.table import best_row, read_metrics, write_table

__all__ = ["best_row", "read_metrics", "write_report", "write_table"]


def write_report(
    rows: list[str], metrics: Path, curves: Path, out: Path, published: Mapping[str, PublishedRow]
) -> None:
    """Write ``table.md``, ``table.csv``, ``curves.csv`` and ``page.html`` into `out`. The baselines lead the table.

    If others have published metrics of these rows, ``table.md`` continues with a comparison, and with the
    discriminators' success.
    """
    out.mkdir(parents=True, exist_ok=True)
    scores, epochs = read_metrics(metrics, [*BASELINE_NAMES, *rows]), read_curves(curves, rows)
    write_table(scores, out)
    if published:
        with (out / "table.md").open("a", encoding="utf-8") as table:
            table.write(comparison(scores, epochs, published) + discriminators(epochs))
    write_all_curves(epochs, out / "curves.csv")
    write_page(out / "page.html")
