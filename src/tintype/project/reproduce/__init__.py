"""A tracked run made again: its commit checked out, its photos found or made, its row trained and measured anew."""

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
from tintype.tracking.runs import flat
from tintype.tracking.store import find_run, only_run, store_uri

__all__ = ["Reproduction", "reproduce"]


def reproduce(reference: str, folder: Path, *, keep: bool = False) -> Reproduction:
    """Make a run again in a worktree of its commit, and compare.

    What comes before training is taken from DVC's cache or its remote, or made; the training and the measuring are
    run, whatever the caches hold. The checkout, DVC's cache of results and MLflow's store stay as they are.

    Args:
        reference: a run's id, ``runs:/ID``, ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``.
        folder: anywhere in the checkout or in one of its projects.
        keep: leave the worktree where it is.
    Raises:
        UserError: the run cannot be made again, and why.
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
        store = f"sqlite:///{(tree / 'mlflow.db').as_posix()}"
        env = {"MLFLOW_TRACKING_URI": store, "DVC_SITE_CACHE_DIR": str(tree / ".tintype/dvc")}
        if threads := then.tags.get("threads"):
            # How many threads share a sum decides its last digits. Where torch has MKL, that caps them at the cores.
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
    """The checkout that `folder` is in, or that the project is of which it is in."""
    folder = folder.resolve()
    for place in (folder, *folder.parents):
        if (place / "params.yaml").is_file() and (place / "dvc.yaml").exists():
            checkout = (place / read_params(place / "params.yaml").get("repo", ".")).resolve()
            if git(checkout, "rev-parse", "--git-dir") is None:
                raise UserError(f"{checkout}: no git repository; a run is made again from its commit")
            return checkout
    raise UserError(f"{folder}: neither in tintype's checkout nor in a project")


def _tolerances(project: Path, row: str) -> Mapping[str, float] | None:
    """The present tolerances of a row, if the project has any."""
    found = read_tolerances(Pipeline(project)) if (project / GATE).is_file() else None
    return found.tolerances.get(row, {}) if found else None


def _prepare(pipeline: Pipeline, env: Mapping[str, str], has_remote: bool) -> None:
    """What training needs: from the cache, else from the remote, else made anew."""
    if has_remote:
        try:
            pipeline.dvc("repro", "--no-commit", "--pull", "configure", env=env, show=True)
            return
        except UserError as error:  # offline, or not allowed in
            print(f"{error}; going on without the remote", file=sys.stderr)
    pipeline.dvc("repro", "--no-commit", "configure", env=env, show=True)


def _refuse_other_params(then: Mapping[str, str], config: Path) -> None:
    """Refuse a row that has other params here: of a project that git does not hold, or of an experiment made anew.

    The hash of the perceptual network may differ: where it was trained on another machine, it does.
    """
    now = flat(json.loads(config.read_text()))
    for key in sorted((then.keys() & now.keys()) - {"perceptual_sha256"}):
        if then[key] != now[key]:
            raise UserError(f"{key}: was {then[key]} in the run, is {now[key]} in its project now; allowed: as it was")


def _digest(cache: Path) -> str | None:
    """Of the photos in a Lab cache; None where only the commit's own code can read it."""
    try:
        return LabCache.open(cache).digest
    except UserError:
        return None
