"""Check of dvc.lock against the files, the code and DVC's cache."""

from __future__ import annotations

import json
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from tintype.closure import HASH_CODE
from tintype.errors import UserError
from tintype.files import md5
from tintype.project.pipeline import Pipeline, overlap
from tintype.project.verify.finding import Finding, some

if TYPE_CHECKING:
    from dvc.repo import Repo


def check_files(pipeline: Pipeline) -> Finding:
    """Compute every hash of the lock again: of outputs, of code, params and data, and of the objects in DVC's cache.

    `dvc status` would not do. It takes a file's hash from DVC's database if time and size are the old ones, does not
    look at an output that its cache lacks, and removes what it finds damaged there.
    """
    from dvc.stage import PipelineStage

    lock = pipeline.lock()
    with _repository(pipeline.project) as repo:
        defined = {stage.name: stage for stage in repo.index.stages if isinstance(stage, PipelineStage)}
        stages = {name: stage for name, stage in defined.items() if name in lock}
        never_run = [name for name in defined if name not in lock]
        outs = {_name(out): out.workspace_status() for stage in stages.values() for out in stage.outs}
        other = [path for path, state in outs.items() if state and "deleted" not in state.values()]
        absent = [path for path, state in outs.items() if "deleted" in state.values()]
        made = [*outs, os.path.normpath(pipeline.config().data.origin)]
        stale = list(_stale(stages, made, [*other, *absent], pipeline.changed_code()))
        damaged, objects = _damaged(repo, stages.values())
    unseen = [f"{some(absent)}: not here; `dvc pull` or `dvc repro` brings it"] if absent else []
    if never_run:
        unseen.append(f"{some(never_run)}: never run")
    return Finding(
        f"{len(outs) - len(absent)} outputs, code and params of {len(stages)} stages, {objects} objects in DVC's cache",
        [*(f"{path}: not what dvc.lock says" for path in other), *stale, *damaged],
        unseen,
    )


@contextmanager
def _repository(project: Path) -> Iterator[Repo]:
    """Open the project as DVC sees it, without DVC's database of hashes. No DVC command can run meanwhile."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    kept = os.environ.get("DVC_SITE_CACHE_DIR")
    with tempfile.TemporaryDirectory() as empty:
        os.environ["DVC_SITE_CACHE_DIR"] = empty
        try:
            with Repo(str(project)) as repo, repo.lock:
                yield repo
        except DvcException as error:
            raise UserError(f"{project}: DVC cannot read it: {' '.join(str(error).split())}") from None
        finally:
            del os.environ["DVC_SITE_CACHE_DIR"]
            if kept is not None:
                os.environ["DVC_SITE_CACHE_DIR"] = kept


def _stale(stages: Mapping[str, Any], made: list[str], known: list[str], changed_code: list[str]) -> Iterator[str]:
    """Yield one line for each thing that stages were run on and that has changed since.

    Args:
        stages: DVC's stages by name.
        made: outputs and the photos. The rest of what stages need is the code, which cannot be pulled.
        known: outputs that are absent or differ from the lock. The stages that need them are not blamed again.
        changed_code: stages whose code differs from the lock's.
    """
    changed: dict[str, list[str]] = defaultdict(list)
    if changed_code:
        changed["code: changed"] = changed_code
    for name, stage in stages.items():
        if stage.cmd_changed:
            changed["dvc.yaml: its command changed"].append(name)
        if name == HASH_CODE:  # it reads every source; `changed_code` has the stages that an edit affects
            continue
        for dependency in stage.deps:
            path = _name(dependency)
            for state in dependency.workspace_status().values():
                if isinstance(state, Mapping):  # params: a file's keys
                    for key, what in state.items():
                        word = {"deleted": "gone", "new": "new"}.get(what, "changed")
                        changed[f"{path}: {key} {word}"].append(name)
                elif not any(overlap(path, one) for one in (made if state == "deleted" else known)):
                    changed[f"{path}: {'gone' if state == 'deleted' else 'changed'}"].append(name)
    for what, since in changed.items():
        yield f"{what} since {some(since)} ran"


def _damaged(repo: Repo, stages: Iterable[Any]) -> tuple[list[str], int]:
    """Return the objects in the cache whose content does not match their name, and the number of objects checked."""
    cache = repo.cache.local
    objects: dict[Path, str] = {}
    for stage in stages:
        for out in stage.outs:
            if out.use_cache and out.hash_info:
                for path in _objects(cache, out.hash_info.value):
                    objects.setdefault(path, _name(out))
    damaged = [
        f"{os.path.relpath(path, repo.root_dir)}: damaged, of {out} in DVC's cache; remove it"
        for path, out in tqdm(objects.items(), desc="DVC's cache", unit="file", disable=None)
        if md5(path) != path.parent.name + path.name.removesuffix(".dir")
    ]
    return damaged, len(objects)


def _objects(cache: Any, oid: str) -> Iterator[Path]:
    """Yield the existing files that hold an output: one for a file; for a folder, its list and the listed files."""
    path = Path(cache.oid_to_path(oid))
    if not path.is_file():
        return
    yield path
    if oid.endswith(".dir"):
        try:
            listed = [file["md5"] for file in json.loads(path.read_bytes())]
        except (ValueError, TypeError, KeyError):  # damaged, which its hash shows
            return
        yield from (file for name in listed if (file := Path(cache.oid_to_path(name))).is_file())


def _name(path: Any) -> str:
    """Return the path as the project's user would write it."""
    return os.path.normpath(path.def_path)
