"""Stage `report`: the rows' metrics and curves -> one table, one chart, and the page that plots are shown in."""

from pathlib import Path

from _stage import run

from tintype.config import load_lab
from tintype.report import write_report


def stage(params: Path, metrics: Path, curves: Path, report: Path) -> None:
    lab = load_lab(params)
    write_report(list(lab.rows), metrics, curves, report, lab.published)


if __name__ == "__main__":
    run(stage)
