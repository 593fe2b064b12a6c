"""The `tintype` command. Heavy imports wait inside the commands: `tintype --help` answers at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Automatic image colorization as a reproducible pipeline. `dvc repro` runs a lab; this command makes one.",
)


@app.callback()
def _root() -> None:
    """Keep `init-lab` a sub-command while it is the only one."""


@app.command("init-lab")
def init_lab(
    folder: Annotated[Path, typer.Argument(help="Where the lab goes; inside the project or anywhere else.")],
    photos: Annotated[Path, typer.Option(help="A folder of colour photos; its sub-folders are the classes.")],
    dataset: Annotated[str, typer.Option(help="Where photos come from; so far: folder.")] = "folder",
    labels: Annotated[str | None, typer.Option(help="CSV (path,class) inside PHOTOS, in place of sub-folders.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Use at most so many photos, a seeded draw.")] = None,
    minutes: Annotated[float, typer.Option(min=0.5, help="Size the training to about so long on this machine.")] = 10,
) -> None:
    """Write a lab for your own photos, sized to this machine; then `cd FOLDER && dvc repro`."""
    from tintype.lab import make_lab

    made = make_lab(folder, dataset=dataset, photos=photos, labels=labels, limit=limit, minutes=minutes)
    typer.echo(made)


def main() -> None:
    """Run the command. A user's mistake is one line and exit 2, never a traceback."""
    from tintype.config import ConfigError

    try:
        app()
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
