"""`tintype gate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def gate(
    against: Annotated[str, typer.Option(metavar="REV", help="Git revision to compare with.")] = "HEAD",
    md: Annotated[bool, typer.Option("--md", help="Print Markdown, for a pull-request comment.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare the project's metrics with those of a revision. Runs no stage: run `dvc repro` first.

    Exit 0: no metric of any row dropped beyond seed-to-seed noise. 1: one did, is missing, or is too good to be true;
    the output names it. 2: the metrics cannot be compared; the output says why.
    """
    from tintype.errors import UserError
    from tintype.project.gate import check
    from tintype.project.gate.show import as_json as json_of
    from tintype.project.gate.show import as_markdown, as_text, failing

    if md and as_json:
        raise UserError("--md --json: allowed is one of the two")
    compared = check(Path.cwd(), against)
    show = as_markdown if md else json_of if as_json else as_text
    typer.echo(show(compared, against))
    raise typer.Exit(1 if failing(compared) else 0)
