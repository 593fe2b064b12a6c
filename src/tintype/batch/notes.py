"""What users should know of photos that were colored, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tintype.batch.run import Outcome


def notes(outcomes: Sequence[Outcome]) -> list[str]:
    """Return lines on metadata that the results' formats cannot hold, and on how photos were read."""
    done = [outcome for outcome in outcomes if not outcome.error]
    lines = []
    if lost := Counter(name for outcome in done for name in outcome.lost):
        kinds = ", ".join(f"{name} x{number}" for name, number in sorted(lost.items()))
        lines.append(f"{sum(bool(outcome.lost) for outcome in done)} lost what their format cannot hold: {kinds}")
    return [*lines, *(f"  {outcome.task.source}: {text}" for outcome in done for text in outcome.warnings)]
