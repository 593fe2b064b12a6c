"""The gate's result for terminals, pull requests and programs."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence

from tintype.errors import UserError
from tintype.metrics.registry import metric_of
from tintype.project.gate.compare import Compared, Verdict, is_number

HEADER = ("row", "metric", "then", "now", "change", "tolerance", "verdict")


def as_text(compared: Sequence[Compared], against: str) -> str:
    """Return aligned columns of the entries that are not the same, and a summary line."""
    rows = [_cells(entry) for entry in compared if entry.verdict is not Verdict.SAME]
    lines = []
    if rows:
        widths = [max(map(len, column)) for column in zip(HEADER, *rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)).rstrip() for row in (HEADER, *rows)
        ]
    return "\n".join([*lines, summary(compared, against)])


def as_markdown(compared: Sequence[Compared], against: str) -> str:
    """Return a comment: the summary, the entries that are not the same, and all entries in a collapsed section."""
    notable = [entry for entry in compared if entry.verdict is not Verdict.SAME]
    parts = [f"### {'❌' if failing(compared) else '✅'} {summary(compared, against)}"]
    if notable:
        parts.append(_table(notable))
    parts.append(f"<details><summary>All metrics</summary>\n\n{_table(compared)}\n\n</details>")
    return "\n\n".join(parts)


def as_json(compared: Sequence[Compared], against: str) -> str:
    """Return every entry, and whether the gate passed. A value that is missing or not a number is null."""
    metrics = [
        {**entry._asdict(), "then": _or_null(entry.then), "now": _or_null(entry.now), "fails": entry.verdict.fails}
        for entry in compared
    ]
    told = {"against": against, "passed": not failing(compared), "metrics": metrics}
    return json.dumps(told, indent=2, allow_nan=False)


def failing(compared: Sequence[Compared]) -> list[Compared]:
    """Return the entries that close the gate."""
    return [entry for entry in compared if entry.verdict.fails]


def summary(compared: Sequence[Compared], against: str) -> str:
    """Return one line: whether the gate passed, against what, and how many metrics got which verdict."""
    counted = Counter(entry.verdict for entry in compared)
    counts = ", ".join(f"{counted[verdict]} {verdict}" for verdict in Verdict if counted[verdict])
    name = against[:12] if re.fullmatch("[0-9a-f]{40}", against) else against
    return f"gate {'closed' if failing(compared) else 'passed'} against {name}: {counts}"


def _table(metrics: Sequence[Compared]) -> str:
    rows = (_cells(entry) for entry in metrics)
    lines = [HEADER, ("---",) * len(HEADER), *((f"`{row[0]}`", *row[1:]) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(entry: Compared) -> tuple[str, ...]:
    digits = _digits(entry.metric)

    def number(value: float | None, sign: str = "") -> str:
        return "" if value is None else f"{value:{sign}.{digits}f}"

    change = None if entry.then is None or entry.now is None else entry.now - entry.then
    verdict = f"{entry.verdict}: {entry.why}" if entry.why else str(entry.verdict)
    return (
        entry.row,
        entry.metric,
        number(entry.then),
        number(entry.now),
        number(change, "+"),
        f"±{number(entry.tolerance)}" if entry.tolerance is not None else "",
        verdict,
    )


def _or_null(entry: float | None) -> float | None:
    return entry if is_number(entry) else None


def _digits(metric: str) -> int:
    try:
        return metric_of(metric).digits
    except UserError:  # an old name of a metric that no longer exists
        return 4
