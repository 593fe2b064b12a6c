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
    keep: Annotated[bool, typer.Option("--keep", help="Leave the worktree, and say where it is.")] = False,
) -> None:
    """Make an MLflow run again, from the commit it was made of, and compare weights and metrics.

    The commit is checked out into a temporary worktree, data comes from DVC's cache or its remote or is made, and the
    row is trained and measured anew, for as long as that took then. Exit 0: identical to the bit; or, with another
    torch, device or number of threads, every metric within the gate's tolerance. 1: not reproduced, and what differs.
    2: it cannot be made again, and why.
    """
    from tintype.reproduce import reproduce as make_again

    made = make_again(run, Path.cwd(), keep=keep)
    typer.echo(made)
    raise typer.Exit(1 if made.failed else 0)
