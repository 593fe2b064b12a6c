"""The origin of a run: where its code, params and photos are found again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tintype.errors import UserError
from tintype.git import git
from tintype.project.pipeline import first_commit_with

MEASURED = ("test_git_commit", "test_git_dirty", "test_dvc_experiment")
"""Tags of the commit that the metrics come from. Without ``test_``, they are those of the training's commit."""


class Origin(NamedTuple):
    """What a run was made from."""

    commit: str
    """Full hash. Of a DVC experiment, it is the experiment's own commit, which holds its params."""
    project: Path
    """Path relative to the checkout, or absolute if it is outside."""
    row: str
    in_commit: bool
    """Whether the commit holds the project. Otherwise, only the project's current params are known."""


def find_origin(run_id: str, tags: Mapping[str, str], checkout: Path) -> Origin:
    """Return the origin of a run by its tags.

    Raises:
        UserError: the run cannot be reproduced from what this checkout has.
    """
    if "row" not in tags or "git_commit" not in tags:
        raise UserError(f"run {run_id}: no tags row and git_commit; allowed: a run of tintype's stages")
    if "weights_sha256" not in tags:
        raise UserError(f"run {run_id}: its training did not finish, there are no weights to compare with")
    commit, project, row = _commit(run_id, tags, checkout), _project(run_id, tags), tags["row"]
    params = project / "params.yaml"
    in_commit = (
        not project.is_absolute() and git(checkout, "cat-file", "-e", f"{commit}:{params.as_posix()}") is not None
    )
    if not in_commit and not (checkout / params).is_file():
        raise UserError(f"run {run_id}: its project {project} is neither in commit {commit[:12]} nor here")
    return Origin(commit, project, row, in_commit)


def _commit(run_id: str, tags: Mapping[str, str], checkout: Path) -> str:
    """Return the commit of the metrics if it is available. DVC did not retrain there, so it makes these weights, too.

    Otherwise, return the commit of the training. Otherwise, return the one whose dvc.lock has these weights: people run
    first, and commit what ran together with the results.
    """
    measured = {name.removeprefix("test_"): value for name, value in tags.items() if name in MEASURED}
    try:
        return _held(run_id, {**tags, **measured}, checkout)
    except UserError:
        try:
            return _held(run_id, tags, checkout)
        except UserError:
            project = checkout / _project(run_id, tags)
            if "model_md5" in tags and (later := first_commit_with(tags["model_md5"], project)):
                return later
            raise


def _held(run_id: str, tags: Mapping[str, str], checkout: Path) -> str:
    """Return the commit that holds everything that was run. Raises `UserError` if there is none."""
    commit, experiment = tags["git_commit"], tags.get("dvc_experiment")
    if commit == "none":
        raise UserError(f"run {run_id}: made before there was a commit; none holds its code")
    if experiment:
        # Params set with -S, and uncommitted changes, are in the commit that DVC makes of the experiment.
        found = git(checkout, "rev-parse", "--verify", "--quiet", f"refs/exps/{commit[:2]}/{commit[2:]}/{experiment}")
        if not found:
            raise UserError(
                f"run {run_id}: DVC's experiment {experiment!r} on {commit[:12]} is not in this checkout; "
                "`dvc exp pull` gets it where it was pushed to"
            )
        return found
    if tags.get("git_dirty") == "true":
        raise UserError(f"run {run_id}: made from uncommitted changes to {commit[:12]}; no commit holds what ran")
    found = git(checkout, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")
    if not found:
        raise UserError(f"run {run_id}: commit {commit} is not in this checkout; `git fetch` gets it where it lies")
    return found


def _project(run_id: str, tags: Mapping[str, str]) -> Path:
    """Return the project of a run.

    Runs older than the tag ``project`` name it in their command: ``git checkout X && cd PROJECT && ...``.
    """
    if "project" in tags:
        return Path(tags["project"])
    words = shlex.split(tags.get("reproduce", ""))
    if "cd" not in words[:-1]:
        raise UserError(f"run {run_id}: no tag project; allowed: a run of tintype's stages")
    return Path(words[words.index("cd") + 1])
