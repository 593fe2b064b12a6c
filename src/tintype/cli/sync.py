"""`tintype sync`."""

from __future__ import annotations

from pathlib import Path

import typer


def sync() -> None:
    """Send to MLflow what its server did not take while it was away.

    A training goes on without its MLflow server and keeps what it logs in .tintype/spool. The project's next stage
    sends that, or this command does. Exit 0: everything is sent, or a running stage is sending it. 1: some runs could
    not be sent; the output says why, and nothing is lost. 2: there is no store, or it does not answer.
    """
    from tintype.errors import UserError, redacted
    from tintype.project.pipeline import Pipeline
    from tintype.tracking.server import check_store
    from tintype.tracking.store import has_store, store_uri
    from tintype.tracking.sync import sync as send

    pipeline = Pipeline(Path.cwd())
    uri = store_uri((pipeline.project / pipeline.config().repo).resolve())
    if not has_store(uri):
        raise UserError(f"there is no MLflow store {redacted(uri)}; where it is elsewhere, set MLFLOW_TRACKING_URI")
    check_store(uri)
    synced = send(uri, pipeline.project)
    for run_id in synced.busy:
        typer.echo(f"run {run_id}: a running stage sends it")
    for run_id, why in synced.failed.items():
        typer.echo(f"run {run_id}: not sent: {why}")
    typer.echo(f"{len(synced.sent)} runs sent to MLflow at {redacted(uri)}")
    raise typer.Exit(1 if synced.failed else 0)
