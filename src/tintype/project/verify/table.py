"""Check of the tables in report/ and README.md against metrics/*.json."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import groupby, zip_longest
from pathlib import Path

from tintype.config import BASELINE_NAMES
from tintype.paths import CURVES, METRICS, TABLE_CSV, TABLE_MD, curves_of, metrics_of
from tintype.project.pipeline import Pipeline
from tintype.project.verify.finding import Finding, some


def check_table(pipeline: Pipeline) -> Finding:
    """Write the report again and compare. If the README has a table of metrics, it must be the report's."""
    project, config, metrics = pipeline.project, pipeline.config(), pipeline.metrics()
    absent = [metrics_of(row) for row in (*BASELINE_NAMES, *config.rows) if row not in metrics]
    absent += [path for path in (TABLE_MD, TABLE_CSV) if not (project / path).is_file()]
    if absent:
        return Finding(unseen=[f"{some(absent)}: not here; `dvc repro` makes it"])
    text, csv = (_read(project / path) for path in (TABLE_MD, TABLE_CSV))
    whole = all((project / curves_of(row)).is_file() for row in config.rows)
    try:
        expected_text, expected_csv = _again(pipeline, whole)
    except (ValueError, KeyError) as error:
        return Finding("report/", [f"report/: cannot be made of metrics/ and curves/: {' '.join(str(error).split())}"])
    unseen = []
    if config.published and not whole:
        text = "\n".join(next(iter(tables(text)), []))
        unseen.append(f"{TABLE_MD} after its first table: curves/ is not here")

    disagreements = [*differences(TABLE_MD, text.splitlines(), expected_text.splitlines())]
    disagreements += differences(TABLE_CSV, _as_table(csv), _as_table(expected_csv))
    compared = "report/"
    readme, measured = project / "README.md", tables(expected_text)[0]
    for table in tables(_read(readme)) if readme.is_file() else ():
        if len({*_cells(table[0])} & {*_cells(measured[0])}) > 1:  # both have `row` and a metric
            disagreements += differences("README.md", table, measured)
            compared = "report/ and README.md"
    return Finding(f"{compared} with metrics/", disagreements, unseen)


def tables(text: str) -> list[list[str]]:
    """Return the lines of every table in a Markdown text."""
    return [list(lines) for is_table, lines in groupby(text.splitlines(), lambda line: line[:1] == "|") if is_table]


def differences(name: str, has: Sequence[str], should: Sequence[str]) -> Iterator[str]:
    """Yield a line for every row (or other line) in which two texts of tables differ."""
    for what, start, end, should_start, should_end in SequenceMatcher(None, has, should, autojunk=False).get_opcodes():
        if what == "equal":
            continue
        rest = list(has[start:end])
        for index in range(should_start, should_end):
            row = _cells(should[index])
            same = next((line for line in rest if _cells(line)[0] == row[0]), None)
            if same is None:
                yield f"{name}: lacks: {should[index]}"
                continue
            rest.remove(same)
            columns = zip_longest(_header(should, index), _cells(same), row, fillvalue="")
            differ = [f"{column} {one} instead of {other}" for column, one, other in columns if one != other]
            yield f"{name}: {row[0]}: {some(differ) or 'spaces'}"
        yield from (f"{name}: metrics/ do not say: {line}" for line in rest)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _header(lines: Sequence[str], index: int) -> list[str]:
    """Return the header of the table that a line is in."""
    while index > 0 and lines[index - 1][:1] == "|":
        index -= 1
    return _cells(lines[index])


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _as_table(csv: str) -> list[str]:
    return [f"| {line.replace(',', ' | ')} |" for line in csv.splitlines()]


def _again(pipeline: Pipeline, whole: bool) -> tuple[str, str]:
    """Return ``table.md`` and ``table.csv`` as the stage `report` writes them; without curves, only the first table."""
    from tintype.report import read_metrics, write_report, write_table

    project, config = pipeline.project, pipeline.config()
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary)
        if whole:
            write_report(list(config.rows), project / METRICS, project / CURVES, out, config.published)
        else:
            write_table(read_metrics(project / METRICS, [*BASELINE_NAMES, *config.rows]), out)
        return _read(out / "table.md"), _read(out / "table.csv")
