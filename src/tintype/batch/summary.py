"""What a run has done, and what it could not do, in words."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from unicodedata import category

from tintype.batch.plan import Plan
from tintype.batch.run import Outcome
from tintype.batch.search import Failed

KINDS = 10
"""Most suffixes that are named. A folder may hold files of any number of kinds."""


def as_text(name: str | Path) -> str:
    """Return a file's name as text. File names are bytes and need not be UTF-8; other bytes become ``\\xff``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def shown(name: str | Path) -> str:
    """Return a file's name as text on one line. Control characters and line separators become escapes."""
    return "".join(
        one.encode("unicode_escape").decode() if category(one) in ("Cc", "Zl", "Zp") else one for one in as_text(name)
    )


def done(plan: Plan, outcomes: Sequence[Outcome], already: int) -> list[str]:
    """Return lines that say what was done, and which kinds of files were passed over.

    Args:
        plan: the plan of the run.
        outcomes: outcomes of the tasks.
        already: number of photos whose results were there before.
    """
    number = sum(not outcome.error for outcome in outcomes)
    where = plan.folder or plan.tasks[0].results[0]
    lines = [f"{number} in color: {shown(where)}" + (f" ({already} were there already)" if already else "")]
    if plan.skipped:
        lines.append(f"{plan.skipped.total()} skipped: {_kinds(plan.skipped)}")
    return lines


def failures(plan: Plan, outcomes: Sequence[Outcome]) -> list[str]:
    """Return lines that name whatever failed, with the reasons; [] if nothing did."""
    failed = [*plan.failed, *(Failed(one.task.source, one.error) for one in outcomes if one.error)]
    named = (f"  {shown(one.source)}: {shown(one.reason)}" for one in failed)
    return [f"{len(failed)} failed:", *named] if failed else []


def notes(outcomes: Sequence[Outcome]) -> list[str]:
    """Return lines on metadata that the results' formats cannot hold, and on how photos were read."""
    done = [outcome for outcome in outcomes if not outcome.error]
    lines = []
    if lost := Counter(name for outcome in done for name in outcome.lost):
        kinds = ", ".join(f"{name} x{number}" for name, number in sorted(lost.items()))
        lines.append(f"{sum(bool(outcome.lost) for outcome in done)} lost what their format cannot hold: {kinds}")
    return [*lines, *(f"  {shown(outcome.task.source)}: {text}" for outcome in done for text in outcome.warnings)]


def _kinds(skipped: Counter[str]) -> str:
    most = sorted(skipped.items(), key=lambda kind: (-kind[1], kind[0]))
    named = [f"{shown(suffix)} x{number}" for suffix, number in most[:KINDS]]
    others = sum(number for _, number in most[KINDS:])
    return ", ".join([*named, f"others x{others}"] if others else named)
