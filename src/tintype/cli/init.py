"""`tintype init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def init(
    folder: Annotated[Path, typer.Argument(help="Folder to create, inside the checkout or anywhere else.")],
    photos: Annotated[Path, typer.Option(help="Folder of color photos; sub-folders become classes.")],
    labels: Annotated[str | None, typer.Option(help="CSV (path,class) inside PHOTOS, instead of sub-folders.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Use at most this many photos, drawn with a seed.")] = None,
    minutes: Annotated[float, typer.Option(min=0.5, help="How long the training should take on this machine.")] = 10,
    fine_tune: Annotated[
        bool,
        typer.Option(
            "--fine-tune", help="Train one row, starting from the released model: best for a few hundred photos."
        ),
    ] = False,
) -> None:
    """Create a project for your own photos, sized to this machine; then run `cd FOLDER && dvc repro`."""
    from tintype.project.init import make_project

    made = make_project(
        folder,
        photos=photos,
        labels=labels,
        limit=limit,
        minutes=minutes,
        fine_tune=fine_tune,
    )
    typer.echo(made)
