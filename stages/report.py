"""Stage `report`: the rows' metrics and curves -> one table, one chart, and the page that plots are shown in."""

from pathlib import Path

from _stage import run

from tintype.config import load_lab
from tintype.report import write_report


def stage(params: Path, metrics: Path, curves: Path, report: Path) -> None:
    write_report(list(load_lab(params).rows), metrics, curves, report)


if __name__ == "__main__":
    run(stage)
