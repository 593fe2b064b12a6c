"""`tintype calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def calibrate(
    seeds: Annotated[int, typer.Option(min=5, help="How many seeds to train every row with.")] = 10,
) -> None:
    """Measure how far metrics move by chance, and write the gate's tolerances to gate.yaml.

    Trains and measures all rows once per seed, in temporary copies of the project. If it is interrupted, run it again:
    it goes on with the seed it had reached.
    """
    from tintype.paths import GATE, SEED_METRICS
    from tintype.project.gate.calibrate import calibrate as measure
    from tintype.project.pipeline import Pipeline

    found = measure(Pipeline(Path.cwd()), range(1, seeds + 1))
    count = sum(map(len, found.values()))
    typer.echo(f"{count} tolerances of {len(found)} rows in {GATE}, the metrics of {seeds} seeds in {SEED_METRICS}")
