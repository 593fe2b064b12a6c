"""The project run with several seeds, to see how far its figures move by chance."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from tintype.config import Tolerance
from tintype.errors import UserError
from tintype.project import yaml_files
from tintype.project.gate.tolerances import tolerances
from tintype.project.git import git
from tintype.project.init import slug
from tintype.project.pipeline import Figures, Pipeline

SPREAD = "report/spread.csv"
TOO_GOOD = 10.0
COMMENT = "What `tintype gate` takes for chance, measured by `tintype gate --calibrate --seeds {seeds}` ({file})."


def calibrate(pipeline: Pipeline, seeds: Sequence[int]) -> dict[str, Tolerance]:
    """Run the project once a seed, write every figure to ``report/spread.csv``, and tolerances into ``params.yaml``.

    The seed is that of training: it is the chance that another machine brings, too. Each run is a DVC experiment in a
    temporary copy, so that the project stays as it is and what was run before comes from DVC's run cache; MLflow's
    store does not see them.

    Args:
        pipeline: of a project in git.
        seeds: at least two.
    Raises:
        UserError: a run failed.
    """
    with tempfile.TemporaryDirectory() as store:
        runs = {
            seed: _figures_with(pipeline, seed, store)
            for seed in tqdm(seeds, desc="calibrate", unit="seed", disable=None)
        }
    spread = pd.DataFrame(
        {"row": row, "seed": seed, **figures} for seed, rows in runs.items() for row, figures in rows.items()
    )
    (pipeline.project / SPREAD).parent.mkdir(exist_ok=True)
    spread.to_csv(pipeline.project / SPREAD, index=False)
    found = tolerances(spread)
    _write(pipeline.project / "params.yaml", found, len(seeds))
    return found


def _figures_with(pipeline: Pipeline, seed: int, store: str) -> Figures:
    """The project's figures with another seed."""
    # Projects of one git repository share the namespace of its experiments.
    name = f"calibrate-{slug(pipeline.project.name)}-{seed}"
    if _experiment(pipeline, name):  # of a calibration that was cut off
        pipeline.dvc("exp", "remove", name)
    env = {"MLFLOW_TRACKING_URI": f"sqlite:///{Path(store, 'mlflow.db').as_posix()}"}
    words = ("--temp", "--name", name, "--set-param", f"training.seed={seed}", "evaluate", "floors")
    pipeline.dvc("exp", "run", *words, env=env, show=True)
    commit = _experiment(pipeline, name)
    if commit is None:
        raise UserError(f"experiment {name}: DVC ran it and has no result; `dvc exp show` may tell")
    figures = pipeline.figures(commit)
    pipeline.dvc("exp", "remove", name)
    return figures


def _experiment(pipeline: Pipeline, name: str) -> str | None:
    """The commit of a DVC experiment on the present one."""
    head = pipeline.commit("HEAD")
    return git(pipeline.project, "rev-parse", "--verify", "--quiet", f"refs/exps/{head[:2]}/{head[2:]}/{name}")


def _write(params: Path, found: dict[str, Tolerance], seeds: int) -> None:
    """Put the tolerances under ``gate``; all other keys, and every comment, stay as they are."""
    from ruamel.yaml.comments import CommentedMap

    values = yaml_files.read(params)
    known = values.get("gate") or {}
    section = CommentedMap(too_good=known.get("too_good", TOO_GOOD), tolerances=CommentedMap())
    for metric, tolerance in found.items():
        line = CommentedMap(tolerance.model_dump())
        line.fa.set_flow_style()
        section["tolerances"][metric] = line
    values["gate"] = section
    if not known:
        words = COMMENT.format(seeds=seeds, file=SPREAD)
        values.yaml_set_comment_before_after_key("gate", before=f"\n{words}")
    yaml_files.write(values, params)
