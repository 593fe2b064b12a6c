"""`tintype init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def init(
    folder: Annotated[Path, typer.Argument(help="Where the project goes; inside the checkout or anywhere else.")],
    photos: Annotated[Path, typer.Option(help="A folder of color photos; its sub-folders are the classes.")],
    labels: Annotated[str | None, typer.Option(help="CSV (path,class) inside PHOTOS, in place of sub-folders.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Use at most so many photos, a seeded draw.")] = None,
    minutes: Annotated[float, typer.Option(min=0.5, help="Size the training to about so long on this machine.")] = 10,
    fine_tune: Annotated[
        bool,
        typer.Option(
            "--fine-tune", help="One row that starts from the model that comes with tintype: the best for few photos."
        ),
    ] = False,
) -> None:
    """Write a project for your own photos, sized to this machine; then `cd FOLDER && dvc repro`."""
    from tintype.project import make_project

    made = make_project(
        folder,
        photos=photos,
        labels=labels,
        limit=limit,
        minutes=minutes,
        fine_tune=fine_tune,
    )
    typer.echo(made)
