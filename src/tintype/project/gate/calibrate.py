"""Calibration: running the project with several seeds, to measure how far its metrics move by chance."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from tintype.devices import environment
from tintype.errors import UserError
from tintype.git import git
from tintype.paths import GATE, SEED_METRICS
from tintype.project import yaml_files
from tintype.project.gate.tolerances import DEVIATIONS, tolerances
from tintype.project.init import slug
from tintype.project.pipeline import Metrics, Pipeline
from tintype.tracking.location import sqlite_uri

TOO_GOOD = 10.0
COMMENT = """How far `tintype gate` lets a metric of a row move: {deviations:g} standard deviations over {seeds} seeds.
Written by `tintype calibrate --seeds {seeds}`; the metrics of every seed are in {file}."""


def calibrate(pipeline: Pipeline, seeds: Sequence[int]) -> dict[str, dict[str, float]]:
    """Run the project once per seed. Write all metrics to ``report/spread.csv``, and tolerances to ``gate.yaml``.

    The seed is that of training. It stands for the chance that another machine brings, too. Each run is a DVC
    experiment in a temporary copy, so the project stays as it is. An interrupted calibration resumes where it was,
    because DVC's run cache has what was run before. MLflow's store does not see the runs.

    Args:
        pipeline: pipeline of a project in git.
        seeds: at least two.
    Raises:
        UserError: a run failed.
    """
    with tempfile.TemporaryDirectory() as store:
        runs = {
            seed: _metrics_with(pipeline, seed, store)
            for seed in tqdm(seeds, desc="calibrate", unit="seed", disable=None)
        }
    spread = pd.DataFrame(
        {"row": row, "seed": seed, **metrics} for seed, rows in runs.items() for row, metrics in rows.items()
    )
    (pipeline.project / SEED_METRICS).parent.mkdir(exist_ok=True)
    spread.to_csv(pipeline.project / SEED_METRICS, index=False)
    found = tolerances(spread)
    _write(pipeline.project / GATE, found, len(seeds))
    return found


def _metrics_with(pipeline: Pipeline, seed: int, store: str) -> Metrics:
    """Return the project's metrics with another seed."""
    # Projects of one git repository share the namespace of its experiments.
    name = f"calibrate-{slug(pipeline.project.name)}-{seed}"
    if _experiment(pipeline, name):  # left by an interrupted calibration
        pipeline.dvc("exp", "remove", name)
    env = {"MLFLOW_TRACKING_URI": sqlite_uri(Path(store, "mlflow.db"))}
    words = ("--temp", "--name", name, "--set-param", f"training.seed={seed}", "evaluate", "baselines")
    pipeline.dvc("exp", "run", *words, env=env, show=True)
    commit = _experiment(pipeline, name)
    if commit is None:
        raise UserError(f"experiment {name}: DVC ran it and has no result; `dvc exp show` may tell")
    metrics = pipeline.metrics(commit)
    pipeline.dvc("exp", "remove", name)
    return metrics


def _experiment(pipeline: Pipeline, name: str) -> str | None:
    """Return the commit of a DVC experiment on the current commit, or None if there is none."""
    head = pipeline.commit("HEAD")
    return git(pipeline.project, "rev-parse", "--verify", "--quiet", f"refs/exps/{head[:2]}/{head[2:]}/{name}")


def _write(file: Path, found: Mapping[str, Mapping[str, float]], seeds: int) -> None:
    from ruamel.yaml.comments import CommentedMap

    values = CommentedMap(too_good=TOO_GOOD, measured={"seeds": seeds, **environment()}, tolerances=found)
    values.yaml_set_start_comment(COMMENT.format(deviations=DEVIATIONS, seeds=seeds, file=SEED_METRICS))
    yaml_files.write(values, file)
