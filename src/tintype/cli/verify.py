"""`tintype verify`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer


def verify(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the finished project in this folder. Runs no stage and changes nothing.

    Files: recomputes every hash in dvc.lock (outputs, code, params, DVC's cache). Metrics: evaluates every row again
    from its stored weights. Table: compares report/ and the table in README.md with the metrics. Champion: compares
    the weights in MLflow with the project's, or finds the commit that makes them. Missing files are skipped and
    reported. Exit 0: everything agrees. 1: something disagrees. 2: the project cannot be verified.
    """
    import json

    from tintype.project.pipeline import Pipeline
    from tintype.project.verify import verify as check

    pipeline = Pipeline(Path.cwd())
    _with_library_of((pipeline.project / pipeline.config().repo).resolve())
    findings = {}
    for name, finding in check(pipeline):
        findings[name] = finding
        if not as_json:
            typer.echo(f"{finding.verdict:4}  {name:8}  {finding.compared or '; '.join(finding.unseen)}")
            for line in [*finding.disagreements, *(f"({why})" for why in finding.unseen if finding.compared)]:
                typer.echo(f"      {line}")
    bad = [name for name, finding in findings.items() if finding.disagreements]
    if as_json:
        told = [{"check": name, "verdict": one.verdict, **vars(one)} for name, one in findings.items()]
        typer.echo(json.dumps({"agrees": not bad, "checks": told}, indent=2))
    else:
        typer.echo(f"verify: something disagrees: {', '.join(bad)}" if bad else "verify: nothing disagrees")
    raise typer.Exit(1 if bad else 0)


def _with_library_of(checkout: Path) -> None:
    """Begin again with the checkout's own library, if this one is another's: as stages do, what measures them again."""
    import tintype

    source = str(checkout / "src")
    path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    known = Path(tintype.__file__).resolve().is_relative_to(source) or source in path
    if known or not (checkout / "src/tintype/project/verify").is_dir():
        return
    command = [sys.executable, "-c", "from tintype.cli import main; main()", *sys.argv[1:]]
    os.execve(sys.executable, command, {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [source, *path]))})
