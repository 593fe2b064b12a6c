"""What DVC and git know about a project: its metrics now and at a revision, its lock, and what is stale."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tintype.closure import HASH_CODE, hash_files
from tintype.config import BASELINE_NAMES, Project, load_project
from tintype.errors import UserError
from tintype.git import git
from tintype.paths import CODE, LOCK, PARAMS, PIPELINE, metrics_of

Metrics = dict[str, dict[str, float]]
"""Metrics by row (including the baselines) and by full name of the metric."""
Lock = dict[str, Any]
"""The stages of a ``dvc.lock`` by name."""


class Pipeline:
    """A project's pipeline.

    Args:
        project: the project's root folder.
    Raises:
        UserError: the folder is not a project.
    """

    def __init__(self, project: Path) -> None:
        self.project = project.resolve()
        for name in (PARAMS, PIPELINE):
            if not (self.project / name).exists():
                raise UserError(f"{project}: no {name} here; allowed: a project's folder (`tintype init` makes one)")

    def config(self) -> Project:
        """Return the project's params. Raises `UserError`."""
        return load_project(self.project / PARAMS)

    def dvc(self, *words: str, env: Mapping[str, str] | None = None, show: bool = False) -> str:
        """Run a DVC command in the project and return its stdout. With `show`, its output goes to stderr instead, live.

        DVC's own errors are on stderr. Raises `UserError` if the command fails.
        """
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *words],
            cwd=self.project,
            # Stages call `python`. It must be this one, whatever environment is active.
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
                "DVC_NO_ANALYTICS": "1",
                **(env or {}),
            },
            stdout=sys.stderr if show else subprocess.PIPE,
            stderr=None if show else subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            lines = (done.stderr or "").strip().splitlines() or ["no reason given"]
            why = "" if show else next((line for line in lines if line.startswith("ERROR")), lines[-1])
            raise UserError(f"dvc {' '.join(words)} failed (exit {done.returncode}) {why}".strip())
        return done.stdout or ""

    def commit(self, revision: str) -> str:
        """Return the full hash of a revision. Raises `UserError` if git does not know it."""
        if git(self.project, "rev-parse", "--git-dir") is None:
            raise UserError(f"{self.project}: not in a git repository, there is no revision {revision!r}")
        found = git(self.project, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        if not found:
            raise UserError(f"{revision!r}: git knows no such revision here")
        return found

    def params(self, revision: str) -> dict[str, Any]:
        """Return the params of a revision, not validated, because its keys may not be the current ones."""
        return self.yaml(PARAMS, revision)

    def yaml(self, path: str, revision: str | None = None) -> dict[str, Any]:
        """Return the mapping in a file of the project, now or at a revision, or {} if there is no such file.

        Raises `UserError`.
        """
        text = self._text(path) if revision is None else self.file_at(revision, path)
        return _yaml(text, f"{revision}:{path}" if revision else path)

    def file_at(self, revision: str, path: str) -> str | None:
        """Return the text of a file of the project at a revision, or None if there is no such file."""
        return git(self.project, "show", f"{revision}:./{path}")

    def metrics(self, revision: str | None = None) -> Metrics:
        """Return the metrics of every row: those committed at a revision, or else those in the project's files.

        Rows without a file are left out. So are rows whose file is not a flat mapping of names to numbers. At a
        revision, such a file raises `UserError`, because nobody can fix it there.
        """
        return {row: found for row in self._rows(revision) if (found := self._row_metrics(row, revision)) is not None}

    def _rows(self, revision: str | None) -> list[str]:
        if revision is None:
            return [*BASELINE_NAMES, *self.config().rows]
        return [*BASELINE_NAMES, *(self.params(revision).get("rows") or {})]

    def _row_metrics(self, row: str, revision: str | None) -> dict[str, float] | None:
        path = metrics_of(row)
        try:
            text = self._text(path) if revision is None else self.file_at(revision, path)
            if text is None:
                return None
            values = json.loads(text)
        except ValueError:  # also for text that is not UTF-8
            values = None
        if isinstance(values, dict) and all(isinstance(value, int | float) for value in values.values()):
            return values
        if revision is not None:
            raise UserError(f"{revision}:{path}: allowed is a mapping of names to numbers")
        return None

    def _text(self, path: str) -> str | None:
        file = self.project / path
        return file.read_text(encoding="utf-8") if file.is_file() else None

    def lock(self, revision: str | None = None) -> Lock:
        """Return the stages of ``dvc.lock`` by name, or {} if there is no lock."""
        return dict(self.yaml(LOCK, revision).get("stages", {}))

    def stale(self) -> dict[str, list[str]]:
        """Return the stages whose lock does not match the files here, with what differs: ``src/x.py: modified``.

        They are found by `dvc status` and `changed_code`. Outputs and photos that are not here are not stale: they may
        be in a remote.
        """
        made = [out["path"] for stage in self.lock().values() for out in stage.get("outs", [])]
        made.append(self.config().data.origin)
        status = json.loads(self.dvc("status", "--json") or "{}")
        status.pop(HASH_CODE, None)  # any edit makes it stale; `changed_code` finds the stages that the edit affects
        stale = {stage: list(_disagreements(parts, made)) for stage, parts in status.items()}
        for stage in self.changed_code():
            stale.setdefault(stage, []).append("its code changed")
        return {stage: parts for stage, parts in stale.items() if parts}

    def changed_code(self) -> list[str]:
        """Return the stages of the lock (such as ``train@row``) whose code has changed since. Raises `UserError`."""
        files = hash_files((self.project / self.config().repo).resolve())
        now = {f"{CODE}/{name}": hashlib.md5(text.encode()).hexdigest() for name, text in files.items()}
        return [
            name
            for name, stage in self.lock().items()
            if any(now.get(part["path"], part.get("md5")) != part.get("md5") for part in stage.get("deps", []))
        ]


def out_hash(lock: Lock, path: str) -> str | None:
    """Return the hash of an output in a lock, or None if the lock does not have it."""
    for stage in lock.values():
        for out in stage.get("outs", []):
            if out["path"] == path:
                return str(out["md5"])
    return None


def first_commit_with(digest: str, project: Path) -> str | None:
    """Return the oldest commit where the project's ``dvc.lock`` has an output with this hash, or None.

    All branches and experiments are searched.
    """
    found = git(project, "log", "--all", "--format=%H", f"-S{digest}", "--", LOCK)
    return found.splitlines()[-1] if found else None


def _yaml(text: str | None, name: str) -> dict[str, Any]:
    """Return the mapping in the file `name`, or {} for a file that does not exist.

    Raises `UserError` if the content is not a mapping, for example because of conflict markers of a merge.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        values = YAML(typ="safe", pure=False).load(text or "{}") or {}
    except YAMLError as error:
        raise UserError(f"{name}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UserError(f"{name}: allowed is a mapping, found {type(values).__name__}")
    return values


def _disagreements(parts: list[Any], made: list[str]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, str):  # changed command
            yield part
            continue
        for paths in part.values():
            for path, what in paths.items():
                if isinstance(what, Mapping):  # params: a file's keys
                    yield from (f"{path}: {key} {state}" for key, state in what.items())
                elif what == "deleted":
                    if not any(overlap(path, one) for one in made):
                        yield f"{path}: deleted"
                elif what != "not in cache":
                    yield f"{path}: {what}"


def overlap(one: str, other: str) -> bool:
    """Return whether two paths are the same, or one is inside the other."""
    one, other = (f"{os.path.normpath(path)}/" for path in (one, other))
    return one.startswith(other) or other.startswith(one)
