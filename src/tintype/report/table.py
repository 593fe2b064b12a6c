"""The table of rows and metrics, as Markdown for people and CSV for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from tintype.config import BASELINE_NAMES
from tintype.errors import UserError
from tintype.metrics.registry import ARROWS, metric_of, ranking_direction


def read_metrics(folder: Path, rows: list[str]) -> dict[str, dict[str, float]]:
    """Return each row's metrics, read from one flat JSON file per row. Raises `UserError` if one cannot be read."""
    return {row: _metrics_in(folder / f"{row}.json") for row in rows}


def _metrics_in(path: Path) -> dict[str, float]:
    try:
        values = json.loads(path.read_bytes())
    except ValueError:
        values = None
    if not isinstance(values, dict) or not all(isinstance(value, int | float) for value in values.values()):
        stage = "baselines" if path.stem in BASELINE_NAMES else f"evaluate@{path.stem}"
        raise UserError(
            f"{path}: damaged, allowed is a mapping of names to numbers; `dvc repro -s -f {stage}` makes it"
        )
    return values


def best_row(scores: dict[str, dict[str, float]], metric: str) -> str:
    """Return the row that `metric` ranks first. Raises `UserError` if the metric was not measured or does not rank."""
    pick = min if ranking_direction(metric, next(iter(scores.values()))) == "min" else max
    return pick(scores, key=lambda row: scores[row][metric])


def write_table(scores: dict[str, dict[str, float]], out: Path) -> None:
    """Write ``table.csv`` (full precision, first column ``row``) and ``table.md`` (rounded, best values bold)."""
    table = pd.DataFrame.from_dict(scores, orient="index")
    table.to_csv(out / "table.csv", index_label="row")

    names = [str(name) for name in table.columns]
    lines = ["| row | " + " | ".join(name + ARROWS[metric_of(name).direction] for name in names) + " |"]
    lines.append("|---" * (len(names) + 1) + "|")
    for row in scores:
        cells = (_cell(table[name], row, name) for name in names)
        lines.append(f"| `{row}` | " + " | ".join(cells) + " |")
    (out / "table.md").write_text("\n".join(lines) + "\n")


def _cell(column: pd.Series, row: str, name: str) -> str:
    metric = metric_of(name)
    if pd.isna(column[row]):  # a row without a class branch has no class_accuracy
        return ""
    text = f"{column[row]:.{metric.digits}f}"
    best = {"min": column.min(), "max": column.max(), None: None}[metric.direction]
    return f"**{text}**" if column[row] == best else text
