"""The champion in MLflow's registry: are its weights the project's, or can a project make them again?"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tintype.config import load_row, read_params
from tintype.errors import UserError, redacted
from tintype.files import folder_hash
from tintype.paths import LAB_CACHE, REGISTERED, config_of, model_of
from tintype.project.pipeline import Pipeline, first_commit_with, out_hash
from tintype.project.verify.finding import Finding

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion


def check_champion(pipeline: Pipeline) -> Finding:
    """Check the weights that the registry holds as ``champion``, their origin, and what the project says it registered.

    MLflow's store is only read. If there is none, none is created.
    """
    from tintype.tracking.store import has_store, reader, store_uri

    project, model = pipeline.project, pipeline.config().register_.model
    checkout = (project / pipeline.config().repo).resolve()
    uri = store_uri(checkout)
    said = (project / REGISTERED).read_text() if (project / REGISTERED).is_file() else None
    if not has_store(uri):
        if said is not None:
            return Finding(
                REGISTERED, [f"{REGISTERED}: there is no MLflow store {redacted(uri)} that has what it says"]
            )
        return Finding(unseen=[f"there is no MLflow store {redacted(uri)}"])

    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    try:
        client = reader(uri)
        versions = {str(version.version): version for version in client.search_model_versions(f"name = '{model}'")}
        aliases = client.get_registered_model(model).aliases if versions else {}
    except Exception as error:  # MLflow's errors, or its database's
        unread = redacted(f"{uri}: cannot be read: {' '.join(str(error).split())}")
        return Finding(unseen=[unread]) if uri.startswith("http") else Finding("MLflow", [unread])
    champion = versions.get(str(aliases.get("champion")))
    disagreements = [] if said is None else list(_registered(said, versions, champion))
    if champion is None:
        compared = f"{REGISTERED} with MLflow" if said is not None else ""
        return Finding(compared, disagreements, [f"MLflow ({redacted(uri)}) has no champion of {model}"])
    if why := _wrong(champion, client, pipeline, checkout):
        disagreements.append(f"champion version {champion.version} (row {champion.tags.get('row')}): {why}")
    return Finding(f"champion version {champion.version} of {model} with the project", disagreements)


def _registered(said: str, versions: Mapping[str, ModelVersion], champion: ModelVersion | None) -> Iterator[str]:
    """Yield where the project's record of what it registered differs from the registry."""
    try:
        registered = json.loads(said)
        number, alias = str(registered["version"]), registered["alias"]
        expected = {name: registered[name] for name in ("row", "weights_sha256")}
    except (ValueError, KeyError, TypeError):
        yield f"{REGISTERED}: not what the stage register writes"
        return
    if number not in versions:
        yield f"{REGISTERED}: version {number} is not in MLflow"
        return
    for name, value in expected.items():
        if (has := versions[number].tags.get(name)) != value:
            yield f"{REGISTERED}: version {number} has {name} {value}; MLflow says {has}"
    if alias == "champion" and (champion is None or str(champion.version) != number):
        yield f"{REGISTERED}: version {number} is champion; MLflow says version {champion and champion.version} is"


def _wrong(champion: ModelVersion, client: MlflowClient, pipeline: Pipeline, checkout: Path) -> str | None:
    """Return what is wrong with a champion, or None if nothing is."""
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    from tintype.models import weights_hash
    from tintype.tracking.store import is_missing, weights_in

    named = champion.tags.get("weights_sha256")
    with tempfile.TemporaryDirectory() as temporary:
        try:
            # Not by models:/NAME/VERSION, which uses the store of the whole process.
            source = client.get_model_version_download_uri(champion.name, champion.version)
            download_artifacts(source, dst_path=temporary, tracking_uri=client.tracking_uri)
            weights = weights_in(Path(temporary))
        except Exception as error:  # each kind of store raises its own
            why = redacted(" ".join(str(error).split()))
            return f"its weights are not in MLflow's store: {type(error).__name__}: {why}"
        if (held := weights_hash(weights)) != named:
            return f"its weights in MLflow's store have SHA-256 {held}, were registered with {named}"
        digest = folder_hash(weights)
    if any(out_hash(pipeline.lock(), model_of(row)) == digest for row in pipeline.config().rows):
        return None
    # Runs come before their commit: results of uncommitted changes may have been committed later, with the lock.
    if first_commit_with(digest, pipeline.project):
        return None
    try:
        _refuse_unmakeable(client.get_run(champion.run_id or ""), checkout)
    except MlflowException as error:
        if not is_missing(error):
            raise
        return "not in dvc.lock, and no project can make it again: its run is gone from MLflow"
    except UserError as error:
        return f"not in dvc.lock, and no project can make it again: {error}"
    return None


def _refuse_unmakeable(run: Run, checkout: Path) -> None:
    """Raise `UserError`, with the reason, if no project can reproduce what was made in `run`."""
    from tintype.data.cache import LabCache
    from tintype.project.reproduce.origin import find_origin

    tags = run.data.tags
    origin = find_origin(run.info.run_id, tags, checkout)
    if origin.in_commit:
        return
    project = checkout / origin.project  # git does not hold it: only its current state is known
    if origin.row not in (read_params(project / "params.yaml").get("rows") or {}):
        raise UserError(f"row {origin.row} is no longer in {project / 'params.yaml'}")
    config, cache = project / config_of(origin.row), project / LAB_CACHE
    if config.is_file() and "config_sha256" in tags:
        digest = hashlib.sha256(load_row(config).model_dump_json().encode()).hexdigest()
        if digest != tags["config_sha256"]:
            raise UserError(f"row {origin.row} has other params now")
    if cache.is_dir() and tags.get("data_sha256", digest := LabCache.open(cache).digest) != digest:
        raise UserError("the project's photos are others now")
