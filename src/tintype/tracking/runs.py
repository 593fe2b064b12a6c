"""Runs in MLflow: one per trained row, with its training and its evaluation.

The store is ``mlflow.db`` at the root of tintype's checkout, whatever the working directory (an experiment runs in a
temporary copy), or any server named by ``MLFLOW_TRACKING_URI``.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow
import numpy as np
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import Metric, Param, RunTag

from tintype.config import Row, read_params
from tintype.devices import environment
from tintype.files import folder_hash
from tintype.git import git
from tintype.tracking.location import artifacts_of, update_addresses
from tintype.tracking.server import answering, check_store
from tintype.tracking.spool import FOLDER as SPOOLS
from tintype.tracking.store import store_uri
from tintype.tracking.sync import spooled, sync

LOCK = "mlflow.db.lock"
"""Lock file next to the store. A process holds it while it creates or changes what there must be only one of."""


class TrackedRun:
    """The open MLflow run of a row in training."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self.client = client
        self.run_id = run_id

    def log_epoch(
        self, record: Mapping[str, Any], speed: Mapping[str, float], panel: Callable[[], np.ndarray | None]
    ) -> None:
        """Log one point of every curve, and the panel of photos as an image of this step.

        Text (the phase's name) is left out, because MLflow's curves are numbers.
        """
        numbers = {name: value for name, value in {**record, **speed}.items() if isinstance(value, int | float)}
        step, now = int(numbers.pop("epoch")), int(time.time() * 1000)
        self.client.log_batch(self.run_id, [Metric(name, value, now, step) for name, value in numbers.items()])
        if (image := panel()) is not None:
            self.client.log_image(self.run_id, image, key="panel", step=step)

    def finish(self, weights: str) -> None:
        """Tag the run with the hash of the weights it made, by which evaluation and registration find the run."""
        self.client.set_tag(self.run_id, "weights_sha256", weights)


class Tracker:
    """MLflow for one project.

    Args:
        project: the project's root folder.
        checkout: tintype's checkout.
    """

    def __init__(self, project: Path, checkout: Path) -> None:
        self.project = project
        # In an experiment's temporary copy the checkout is the copy; the store stays with the original.
        self.home = _original(project, checkout)
        self.lock = self.home / LOCK
        self.uri = store_uri(self.home)
        check_store(self.uri)
        create_store(self.home)
        update_addresses(self.uri)
        mlflow.set_tracking_uri(self.uri)
        self.client = MlflowClient(self.uri)
        with answering(self.uri):
            self.experiment = self._experiment()
        self._sync()
        self.place = project.relative_to(self.home).as_posix() if project.is_relative_to(self.home) else str(project)
        self.git = _git_tags(checkout, self.place)

    def _experiment(self) -> str:
        inside = self.project != self.home and self.project.is_relative_to(self.home)
        name = self.project.relative_to(self.home).as_posix() if inside else self.project.name
        with FileLock(self.lock):
            if found := self.client.get_experiment_by_name(name):
                if found.lifecycle_stage == "deleted":  # by hand, in the UI
                    self.client.restore_experiment(found.experiment_id)
                return found.experiment_id
            return self.client.create_experiment(name, artifact_location=artifacts_of(self.uri, name))

    def _sync(self) -> None:
        """Send what a dead server did not take of the project's earlier runs. A failure stops nothing."""
        for run_id, why in sync(self.uri, self.project).failed.items():
            print(f"run {run_id} is still in {self.project / SPOOLS}: {why}", file=sys.stderr)

    @contextmanager
    def training_run(self, row: Row, key: str, cache: Path, digest: str) -> Iterator[TrackedRun]:
        """Open the run of `row`: the interrupted one with this key if there is one, else a new one.

        Under torchrun, only the first process has a run. The others get one that nobody writes to.
        """
        if int(os.environ.get("RANK", "0")) > 0:
            yield TrackedRun(self.client, "")
            return
        with answering(self.uri):
            cut_off = self.find_run(f"tags.training_key = '{key}' and attributes.status != 'FINISHED'")
            run_id = cut_off or self._start(row, key, cache, digest)
            self.client.update_run(run_id, status="RUNNING")
        with spooled(self.uri, self.project, run_id) as client:
            try:
                yield TrackedRun(client, run_id)
            except BaseException:
                client.set_terminated(run_id, "FAILED")
                raise
            client.set_terminated(run_id)

    def _start(self, row: Row, key: str, cache: Path, digest: str) -> str:
        config = row.model_dump_json()
        tags = {
            "stage": "train",
            "row": row.name,
            "training_key": key,
            "config_sha256": hashlib.sha256(config.encode()).hexdigest(),
            "data_sha256": digest,
            **environment(),
            **self._origin(row.name),
        }
        run_id: str = self.client.create_run(self.experiment, run_name=row.name, tags=tags).info.run_id
        params = [Param(name, value) for name, value in flat(row.model_dump()).items()]
        self.client.log_batch(run_id, params=params)
        source = CodeDatasetSource({"path": str(cache.resolve()), "made_by": "stage preprocess"})
        dataset = MetaDataset(source, name="lab-cache", digest=digest[:32])  # type: ignore[abstract]
        with mlflow.start_run(run_id=run_id):
            mlflow.log_input(dataset, context="training")
        return run_id

    def run_that_made(self, model: Path) -> str:
        """Return the ID of the run that made the weights in `model`.

        Weights that no run here made (pulled from a remote, or restored by DVC's run cache) get a run of their own.
        """
        from tintype.models import weights_hash

        weights, row = weights_hash(model), model.name
        with answering(self.uri):
            if run_id := self.find_run(f"tags.weights_sha256 = '{weights}'"):
                return run_id
            tags = {"stage": "evaluate", "row": row, "weights_sha256": weights, **self._origin(row)}
            made: str = self.client.create_run(self.experiment, run_name=row, tags=tags).info.run_id
            self.client.set_terminated(made)
            return made

    def log_evaluation(self, run_id: str, model: Path, metrics: Mapping[str, float], samples: Path) -> None:
        """Add test metrics and the sample grid to the run that made the weights in `model`."""
        now = int(time.time() * 1000)
        # Weights are measured again if only the evaluation has changed. The metrics then belong to a later commit.
        measured = {**self.git, "dvc_experiment": os.environ.get("DVC_EXP_NAME", "")}
        with spooled(self.uri, self.project, run_id) as client:
            client.log_batch(
                run_id,
                [Metric(f"test_{name}", value, now, 0) for name, value in metrics.items()],
                tags=[
                    *(RunTag(f"test_{name}", value) for name, value in measured.items()),
                    RunTag("model_md5", folder_hash(model)),  # as dvc.lock has it
                ],
            )
            client.log_artifact(run_id, str(samples), "samples")

    def _origin(self, row: str) -> dict[str, str]:
        """Return tags that say where the current code, params and photos of a row are found again."""
        experiment = os.environ.get("DVC_EXP_NAME")
        first = f"dvc exp apply {shlex.quote(experiment)}" if experiment else f"git checkout {self.git['git_commit']}"
        return {
            **self.git,
            **({"dvc_experiment": experiment} if experiment else {}),
            "project": self.place,
            "reproduce": f"{first} && cd {shlex.quote(self.place)} && dvc repro evaluate@{row}",
        }

    def find_run(self, query: str) -> str | None:
        """Return the ID of the project's newest run that a search of MLflow finds, or None."""
        found = self.client.search_runs(
            [self.experiment], query, max_results=1, order_by=["attributes.start_time DESC"]
        )
        return found[0].info.run_id if found else None


def create_store(checkout: Path) -> None:
    """Create the SQLite store once, under a lock, because processes that create it concurrently crash each other."""
    if os.environ.get("MLFLOW_TRACKING_URI"):
        return
    with FileLock(checkout / LOCK):
        MlflowClient(store_uri(checkout)).search_experiments(max_results=1)


def _original(project: Path, checkout: Path) -> Path:
    """Return the checkout named by the project's param ``repo``, or `checkout` if there are no params (in tests)."""
    params = project / "params.yaml"
    return (project / read_params(params)["repo"]).resolve() if params.exists() else checkout


def _git_tags(checkout: Path, place: str) -> dict[str, str]:
    """Return the commit of the code, and whether what ran differs from it. In an experiment's copy, the copy is asked.

    What ran is the code and the project's params. Notes, and another project in the making, do not affect a run.
    """
    commit = git(checkout, "rev-parse", "HEAD")
    if commit is None:
        return {"git_commit": "none", "git_dirty": "unknown"}
    params = () if Path(place).is_absolute() else (f"{place}/params.yaml",)
    ran = ("src", "stages", "dvc.yaml", *params)
    changed = git(checkout, "status", "--porcelain", "--untracked-files=no", "--", *ran)
    return {"git_commit": commit, "git_dirty": "true" if changed else "false"}


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Flatten nested sections to MLflow's params: ``loss.l1_weight``, ``training.phases.0.lr``. Lists become tuples."""
    named: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
            value = {str(index): item for index, item in enumerate(value)}
        if isinstance(value, Mapping):
            named.update(flat(value, f"{prefix}{key}."))
        else:
            named[f"{prefix}{key}"] = str(tuple(value) if isinstance(value, list) else value)
    return named
