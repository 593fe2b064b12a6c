"""`tintype verify`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer


def verify(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for a machine.")] = False,
) -> None:
    """Check the finished project in this folder, and say what disagrees. Nothing is run or changed.

    Files: every hash in dvc.lock is taken again, of outputs, code, params and DVC's cache. Metrics: every row is
    measured again from its stored weights. Table: the report is written again, and README.md's table is to be the
    report's. Champion: MLflow's weights are to be the project's, or those of a commit that makes them. What is not here
    is skipped, and said. Exit 0: all agrees. 1: something disagrees. 2: it cannot be verified, and why.
    """
    import json

    from tintype.pipeline import Pipeline
    from tintype.verify import verify as check

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
    if known or not (checkout / "src/tintype/verify").is_dir():
        return
    command = [sys.executable, "-c", "from tintype.cli import main; main()", *sys.argv[1:]]
    os.execve(sys.executable, command, {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [source, *path]))})
