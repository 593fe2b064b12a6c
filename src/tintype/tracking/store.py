"""Reading of MLflow's store: where it is, and which run or weights a name in it means."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from tintype.errors import UserError
from tintype.paths import model_of
from tintype.tracking.location import database_of, sqlite_uri, update_addresses


def store_uri(checkout: Path) -> str:
    """Return ``MLFLOW_TRACKING_URI``, or the URI of the SQLite file at the checkout's root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or sqlite_uri(checkout / "mlflow.db")


def has_store(uri: str) -> bool:
    """Return whether there is a store to read. Asking for a SQLite file that does not exist would create it."""
    return not uri.startswith("sqlite:") or database_of(uri) is not None


def reader(uri: str) -> MlflowClient:
    """Return a client that gives up on a dead server at once. By default, MLflow retries for minutes."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    update_addresses(uri)
    return MlflowClient(uri)


def find_run(store: str, reference: str) -> Run:
    """Find the run that ``ID``, ``runs:/ID``, ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS`` means.

    Args:
        store: URI of the store, see `store_uri`. A missing file is not created.
        reference: the name that the user wrote.
    Raises:
        UserError: there is no such run, version or store.
    """
    client, found = _asked(store, reference)
    run = found if isinstance(found, Run) else _run_of(client, found)
    if run is None:
        raise UserError(f"{reference}: the run of this version is not there; allowed: one that a project registered")
    return run


def find_weights(store: str, reference: str, home: Path | None) -> tuple[Path, str, dict[str, float]]:
    """Find the weights that a name means. The names are those of `find_run`.

    Weights in this machine's files are used where they are. Weights on a server are downloaded once, into the user's
    cache.

    Args:
        home: checkout whose projects may have the weights of an unregistered run. None: the working directory.
    Returns:
        Folder of the weights, their display name, and test metrics by name ({} if the run is gone).
    Raises:
        UserError: there is no such run, version or store, or its weights are gone.
    """
    client, found = _asked(store, reference)
    if isinstance(found, Run):
        return _weights_of_run(client, found, home)
    run = _run_of(client, found)
    return _weights_of_version(client, found), _title(found), {} if run is None else _test_metrics(run)


def _asked(store: str, reference: str) -> tuple[MlflowClient, Run | ModelVersion]:
    if not has_store(store):
        raise UserError(f"{store}: no MLflow store there; where it is elsewhere, set MLFLOW_TRACKING_URI")
    form = re.fullmatch(r"(?:runs:/)?(\w+)|models:/([^/@]+)(?:/(\d+)|@([^/@]+))", reference)
    if form is None:
        raise UserError(f"{reference!r}: allowed: RUN_ID, runs:/RUN_ID, models:/NAME/VERSION, models:/NAME@ALIAS")
    run_id, model, number, alias = form.groups()
    try:
        client = reader(store)
        if run_id:
            return client, client.get_run(run_id)
        if alias:
            return client, client.get_model_version_by_alias(model, alias)
        return client, client.get_model_version(model, number)
    except (MlflowException, SQLAlchemyError) as error:  # the latter: a damaged store
        known = _known(store) if is_missing(error) else ""  # a store that did not answer is not asked again
        raise UserError(f"{reference}: {' '.join(str(error).split())}{known}") from None


def is_missing(error: Exception) -> bool:
    """Return whether a store answers that something does not exist. All other errors say nothing about that."""
    return getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST"


def _known(store: str) -> str:
    """Return a text that lists the models of a store for users who asked for another, or "" if it cannot be read."""
    try:
        models = reader(store).search_registered_models()
    except (MlflowException, SQLAlchemyError):
        return ""
    names = [f"models:/{model.name}@{alias}" for model in models for alias in sorted(model.aliases)]
    return f"; {store} has {', '.join(names) or 'no models'}"


def _run_of(client: MlflowClient, version: ModelVersion) -> Run | None:
    """Return the run that made a version, or None if there was none or it was deleted."""
    try:
        return client.get_run(version.run_id) if version.run_id else None
    except MlflowException as error:
        if is_missing(error):
            return None
        raise UserError(f"run {version.run_id}: {' '.join(str(error).split())}") from None


def _weights_of_run(client: MlflowClient, run: Run, home: Path | None) -> tuple[Path, str, dict[str, float]]:
    """Find a run's weights among the registered ones, or in the run's project if it still has them."""
    from tintype.models.storage import WEIGHTS, weights_hash

    tags, run_id = run.data.tags, run.info.run_id
    digest = tags.get("weights_sha256")
    if digest is None:
        raise UserError(f"{run_id}: this run made no weights; allowed: a finished run of a row's training")
    if versions := client.search_model_versions(f"tags.weights_sha256 = '{digest}'"):
        return _weights_of_version(client, versions[0]), _title(versions[0]), _test_metrics(run)
    weights = (home or Path()) / tags.get("project", ".") / model_of(tags.get("row", ""))
    if (weights / WEIGHTS).is_file() and weights_hash(weights) == digest:
        return weights, f"{tags['row']} of run {run_id[:8]}", _test_metrics(run)
    raise UserError(
        f"{run_id}: its weights are neither registered nor in {weights}; `tintype reproduce {run_id}` makes them again"
    )


def _weights_of_version(client: MlflowClient, version: ModelVersion) -> Path:
    from tintype.models.storage import WEIGHTS

    named = f"models:/{version.name}/{version.version}"
    digest = version.tags.get("weights_sha256")
    if digest is None:
        raise UserError(f"{named}: not a model that tintype has registered")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tintype" / "models" / digest
    if (cache / WEIGHTS).is_file():
        return cache
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    try:
        # Not by models:/NAME/VERSION, which uses the store of the whole process.
        source = f"{client.get_model_version_download_uri(version.name, version.version)}/artifacts"
        if urlsplit(source).scheme in ("", "file"):
            return _checked(
                weights_in(Path(download_artifacts(source, tracking_uri=client.tracking_uri))), digest, named
            )
        try:
            cache.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{cache.parent}: {error.strerror}; set XDG_CACHE_HOME to a folder for models") from None
        with tempfile.TemporaryDirectory(dir=cache.parent) as temporary:
            download_artifacts(source, dst_path=temporary, tracking_uri=client.tracking_uri)
            weights = _checked(weights_in(Path(temporary)), digest, named)
            try:
                weights.rename(cache)
            except OSError:
                if not (cache / WEIGHTS).is_file():  # else another process was faster
                    raise
    except UserError:
        raise
    except Exception as error:  # each kind of store raises its own
        why = " ".join(str(error).split())
        raise UserError(f"{named}: its weights are not in MLflow's store: {type(error).__name__}: {why}") from None
    return cache


def _checked(weights: Path, digest: str, named: str) -> Path:
    from tintype.models.storage import weights_hash

    if (held := weights_hash(weights)) != digest:
        raise UserError(f"{named}: its weights in MLflow have SHA-256 {held}, were registered with {digest}")
    return weights


def weights_in(folder: Path) -> Path:
    """Return the folder of weights in a model that MLflow keeps. Raises `FileNotFoundError`."""
    from tintype.models.storage import WEIGHTS

    found = next(folder.rglob(WEIGHTS), None)
    if found is None:
        raise FileNotFoundError(f"no {WEIGHTS} in {folder}")
    return found.parent


def _title(version: ModelVersion) -> str:
    return f"{version.name} {version.version} ({version.tags.get('row', 'unknown row')})"


def _test_metrics(run: Run) -> dict[str, float]:
    return {name.removeprefix("test_"): value for name, value in run.data.metrics.items() if name.startswith("test_")}


def only_run(store: str) -> Run:
    """Return the only run of a store, in which one row was trained and measured. Raises `UserError` otherwise."""
    client = MlflowClient(store)
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    if len(runs) != 1:
        raise UserError(f"{store}: has {len(runs)} runs; needed is one, that the stages train and evaluate share")
    return runs[0]
