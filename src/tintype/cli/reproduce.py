"""`tintype reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def reproduce(
    run: Annotated[
        str,
        typer.Argument(metavar="RUN", help="RUN_ID, runs:/RUN_ID, models:/NAME/VERSION or models:/NAME@ALIAS."),
    ],
    keep: Annotated[bool, typer.Option("--keep", help="Keep the worktree and print its path.")] = False,
) -> None:
    """Reproduce an MLflow run from its commit, and compare weights and metrics.

    Checks out the commit into a temporary worktree, gets the data from DVC's cache or remote or makes it, then trains
    and evaluates the row, which takes as long as it did before. Exit 0: identical to the bit; or, with another version
    of torch, device or number of threads, every metric within the gate's tolerance. 1: not reproduced; the output says
    what differs. 2: it cannot be reproduced; the output says why.
    """
    from tintype.project.reproduce import reproduce as make_again

    made = make_again(run, Path.cwd(), keep=keep)
    typer.echo(made)
    raise typer.Exit(1 if made.failed else 0)
