"""Reproduction of a tracked run: checks out its commit, finds or makes its photos, retrains and measures its row."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from tintype.config import read_params
from tintype.data.cache import LabCache
from tintype.errors import UserError
from tintype.git import git
from tintype.paths import GATE, LAB_CACHE, config_of
from tintype.project.gate import read_tolerances
from tintype.project.pipeline import Pipeline
from tintype.project.reproduce.compare import Reproduction, compare, other_photos
from tintype.project.reproduce.origin import find_origin
from tintype.project.reproduce.worktree import project_in, worktree
from tintype.tracking.location import sqlite_uri
from tintype.tracking.runs import flat
from tintype.tracking.store import find_run, only_run, store_uri

__all__ = ["Reproduction", "reproduce"]


def reproduce(reference: str, folder: Path, *, keep: bool = False) -> Reproduction:
    """Reproduce a run in a worktree of its commit, and compare the results.

    What comes before training is taken from DVC's cache or its remote, or is made. Training and evaluation are always
    run, whatever the caches hold. The checkout, DVC's cache of results and MLflow's store stay as they are.

    Args:
        reference: a run's ID, ``runs:/ID``, ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``.
        folder: any folder in the checkout or in one of its projects.
        keep: whether to keep the worktree.
    Raises:
        UserError: the run cannot be reproduced. The message says why.
    """
    checkout = _checkout_of(folder)
    run = find_run(store_uri(checkout), reference)
    then = run.data
    origin = find_origin(run.info.run_id, then.tags, checkout)
    tolerances = _tolerances(checkout / origin.project, origin.row)
    with worktree(checkout, origin.commit, keep=keep) as tree:
        print(
            f"row {origin.row}, project {origin.project}, commit {origin.commit[:12]}: made in {tree}", file=sys.stderr
        )
        project, has_remote = project_in(tree, origin, checkout)
        pipeline = Pipeline(project)
        store = sqlite_uri(tree / "mlflow.db")
        env = {"MLFLOW_TRACKING_URI": store, "DVC_SITE_CACHE_DIR": str(tree / ".tintype/dvc")}
        if threads := then.tags.get("threads"):
            # The number of threads that share a sum decides its last digits. If torch has MKL, MKL limits the number to
            # that of the cores.
            env |= {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}

        _prepare(pipeline, env, has_remote)
        _refuse_other_params(then.params, project / config_of(origin.row))
        photos_then, photos = then.tags.get("data_sha256"), _digest(project / LAB_CACHE)
        if photos_then and photos and photos_then != photos:
            return other_photos(photos_then, photos)

        stages = (f"train@{origin.row}", f"evaluate@{origin.row}")
        pipeline.dvc("repro", "--no-commit", "--force", "--single-item", *stages, env=env, show=True)
        now = only_run(store).data
    return compare(then.tags, then.metrics, now.tags, now.metrics, tolerances)


def _checkout_of(folder: Path) -> Path:
    """Return the checkout that contains `folder`, or that its project belongs to."""
    folder = folder.resolve()
    for place in (folder, *folder.parents):
        if (place / "params.yaml").is_file() and (place / "dvc.yaml").exists():
            checkout = (place / read_params(place / "params.yaml").get("repo", ".")).resolve()
            if git(checkout, "rev-parse", "--git-dir") is None:
                raise UserError(f"{checkout}: no git repository; a run is made again from its commit")
            return checkout
    raise UserError(f"{folder}: neither in tintype's checkout nor in a project")


def _tolerances(project: Path, row: str) -> Mapping[str, float] | None:
    """Return the current tolerances of a row, or None if the project has none."""
    found = read_tolerances(Pipeline(project)) if (project / GATE).is_file() else None
    return found.tolerances.get(row, {}) if found else None


def _prepare(pipeline: Pipeline, env: Mapping[str, str], has_remote: bool) -> None:
    """Provide what training needs: from the cache, else from the remote, else made again."""
    if has_remote:
        try:
            pipeline.dvc("repro", "--no-commit", "--pull", "configure", env=env, show=True)
            return
        except UserError as error:  # offline, or access denied
            print(f"{error}; going on without the remote", file=sys.stderr)
    pipeline.dvc("repro", "--no-commit", "configure", env=env, show=True)


def _refuse_other_params(then: Mapping[str, str], config: Path) -> None:
    """Refuse a row that has other params here, as in a project that git does not hold, or an experiment made again.

    The hash of the perceptual network may differ. It does if the network was trained on another machine.
    """
    now = flat(json.loads(config.read_text()))
    for key in sorted((then.keys() & now.keys()) - {"perceptual_sha256"}):
        if then[key] != now[key]:
            raise UserError(f"{key}: was {then[key]} in the run, is {now[key]} in its project now; allowed: as it was")


def _digest(cache: Path) -> str | None:
    """Return the hash of the photos in a Lab cache, or None if only the commit's own code can read it."""
    try:
        return LabCache.open(cache).digest
    except UserError:
        return None
