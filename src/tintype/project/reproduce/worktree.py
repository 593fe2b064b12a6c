"""A temporary worktree of a commit, with the project that is to run. It is removed however the run ends."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tintype.config import read_params
from tintype.errors import UserError
from tintype.git import git
from tintype.paths import PARAMS, PIPELINE
from tintype.project import yaml_files
from tintype.project.reproduce.origin import Origin

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def worktree(checkout: Path, commit: str, *, keep: bool) -> Iterator[Path]:
    """Yield a new worktree of `commit`, and remove it in the end unless it is to be kept.

    It is in ``.tintype``, which git and DVC ignore, and which is usually on the same disk as DVC's cache, so that files
    of the cache can be linked. Raises `UserError` if git refuses.
    """
    (checkout / ".tintype").mkdir(exist_ok=True)
    with _stoppable():
        tree = Path(tempfile.mkdtemp(prefix="reproduce-", dir=checkout / ".tintype"))
        try:
            # Without the user's hooks: DVC's hook would check out data before DVC knows the cache.
            add = ("-c", "core.hooksPath=/dev/null", "worktree", "add", "--quiet", "--detach")
            done = subprocess.run(["git", *add, tree, commit], cwd=checkout, capture_output=True, text=True)
            if done.returncode:
                why = (done.stderr.strip() or "no reason given").splitlines()[-1]
                raise UserError(f"git worktree add failed: {why}")
            yield tree
        finally:
            _ignore_signals()
            if keep and any(tree.iterdir()):
                print(f"kept: {tree}; `git worktree remove --force {tree}` removes it", file=sys.stderr)
            else:
                shutil.rmtree(tree, ignore_errors=True)
                git(checkout, "worktree", "remove", "--force", "--force", str(tree))  # twice: also if incomplete


def project_in(tree: Path, origin: Origin, checkout: Path) -> tuple[Path, bool]:
    """Return the run's project in a worktree, ready for DVC, and whether it has a remote.

    A project that the commit does not hold is made from its current params. Photos that git does not hold are linked.
    Raises `UserError` if that is impossible.
    """
    present = checkout / origin.project
    project = tree / ".tintype/project" if origin.project.is_absolute() else tree / origin.project
    if not origin.in_commit:
        (project / ".dvc").mkdir(parents=True)
        (project / PIPELINE).symlink_to(tree / PIPELINE)
        params = yaml_files.read(present / PARAMS)
        if origin.project.is_absolute():
            params["repo"] = str(tree)
        yaml_files.write(params, project / PARAMS)
    values = read_params(project / PARAMS)
    if origin.row not in values.get("rows", {}):
        raise UserError(f"row {origin.row!r}: not in the run's params.yaml; allowed: {', '.join(values['rows'])}")
    if values["data"]["source"] != "sample":  # sample photos are code, which the commit holds
        _link_photos(Path(values["data"]["origin"]), project, present, inside=tree)
    return project, _configure_dvc(project, present if (present / ".dvc").is_dir() else checkout)


def _link_photos(origin: Path, project: Path, present: Path, inside: Path) -> None:
    """Link the folder `origin`, relative to the project, to that of the current project, unless git holds all of it."""
    here, there = project / origin, present / origin
    if origin.is_absolute() or not there.is_dir():
        return
    if here.exists() and not git(
        present, "ls-files", "--others", "--directory", "--exclude=__pycache__", "--", str(origin)
    ):
        return
    if not here.resolve().is_relative_to(inside):
        raise UserError(f"data.origin = {str(origin)!r}: leads out of the checkout; allowed: an absolute path there")
    if here.is_dir():
        shutil.rmtree(here)
    here.parent.mkdir(parents=True, exist_ok=True)
    here.symlink_to(there.resolve())


def _configure_dvc(project: Path, present: Path) -> bool:
    """Give the project the cache and remotes of the current one. Return whether one of the remotes is the default."""
    from dvc.config import Config

    known = Config(str(present / ".dvc"))
    config: dict[str, Any] = {}
    with Config(str(project / ".dvc")).edit("local") as local:
        for level in ("repo", "local"):  # reading makes paths absolute
            for section in ("core", "cache", "remote"):
                local[section] |= known.read(level)[section]
        local["core"]["no_scm"] = True  # the project is temporary and does not need git
        local["cache"].setdefault("dir", str(present / ".dvc/cache"))
        config = local
    return "remote" in config["core"]


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let a signal end the block like an exception, after ending the processes that the block started."""
    import psutil

    before = {number: signal.getsignal(number) for number in SIGNALS}

    def stop(number: int, frame: object) -> None:
        _ignore_signals()
        started = psutil.Process().children(recursive=True)
        for process in started:
            process.terminate()
        _, deaf = psutil.wait_procs(started, timeout=10)
        for process in deaf:
            process.kill()
        raise SystemExit(128 + number)

    for number, handler in before.items():
        if handler != signal.SIG_IGN:  # under nohup a hangup stays ignored
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore_signals() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
