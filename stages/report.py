"""Stage `report`: the rows' metrics and curves -> one table, one chart, and the HTML page that shows plots."""

from pathlib import Path

from _stage import run

from tintype.config import load_project
from tintype.report import write_report


def stage(params: Path, metrics: Path, curves: Path, report: Path) -> None:
    project = load_project(params)
    write_report(list(project.rows), metrics, curves, report, project.published)


if __name__ == "__main__":
    run(stage)
