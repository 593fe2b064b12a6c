"""Names of models, resolved to files.

MLflow is asked only for names that nobody else knows. Folders and files do not need it.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter

from tintype.config import read_params
from tintype.errors import UserError
from tintype.inference.released import NAMES, RELEASED, path_of_released
from tintype.paths import CHECKOUT, metrics_of, model_of

WEIGHTS = "generator.safetensors"
IN_MLFLOW = re.compile(r"(models|runs):/.*|[0-9a-f]{32}")
HINT = "`make repro` in tintype's checkout makes one; --model also takes everyday, a folder of weights or an .onnx file"


class FoundModel(NamedTuple):
    """A model, and what is known about it."""

    path: Path
    """A folder of weights, or an .onnx file."""
    name: str
    """Display name, such as ``colorizer 3 (gan_l1_class)``."""
    metrics: dict[str, float]
    """Metrics on its project's test photos by name, or {} if none are known."""


def find_model(model: str | Path) -> FoundModel:
    """Find a model by any of its names.

    Args:
        model: ``everyday``, which comes with the package (a folder of that name is ``./everyday``), a folder of
            weights (a row's in a project's ``models/``, or one that MLflow keeps), an ``.onnx`` file,
            ``models:/NAME@ALIAS``, ``models:/NAME/VERSION``, or a run's ID, also as ``runs:/ID``. MLflow's store is
            that of ``MLFLOW_TRACKING_URI``, else that of the project or checkout around the working directory, else
            that of the checkout that tintype is installed from. Models on a server are downloaded once.
    Raises:
        UserError: there is no such model, or no such store.
    """
    path, reference = Path(model), str(model)
    if model in NAMES:
        return FoundModel(path_of_released(), RELEASED, {})
    if path.is_dir():
        return _in_folder(path)
    if path.is_file() and path.suffix == ".onnx":
        return FoundModel(path, path.stem, {})
    if IN_MLFLOW.fullmatch(reference):
        return _in_mlflow(reference)
    raise UserError(
        f"{model}: no such model; allowed: everyday, a folder with {WEIGHTS}, an .onnx file, models:/NAME@ALIAS, "
        "models:/NAME/VERSION, or the id of an MLflow run"
    )


def _in_folder(folder: Path) -> FoundModel:
    """Find weights in a folder or below it. A model that MLflow keeps has its weights in ``artifacts/ROW``."""
    found = [file.parent for around in (".", "*", "artifacts/*") for file in sorted(folder.glob(f"{around}/{WEIGHTS}"))]
    if not found:
        raise UserError(f"{folder}: no {WEIGHTS} in this folder")
    if folder not in found and len(found) > 1:
        raise UserError(f"{folder}: several models; allowed: one of {', '.join(map(str, found))}")
    weights = found[0].resolve()
    # The weights of a project's row have known metrics.
    metrics = weights.parents[1] / metrics_of(weights.name)
    known = weights.parents[1] / model_of(weights.name) == weights and metrics.is_file()
    return FoundModel(found[0], weights.name, _metrics(metrics) if known else {})


def _metrics(file: Path) -> dict[str, float]:
    try:
        return TypeAdapter(dict[str, float]).validate_json(file.read_bytes())
    except ValueError:
        raise UserError(f"{file}: is damaged; allowed: numbers by name, as `dvc repro` writes them") from None


def _in_mlflow(reference: str) -> FoundModel:
    try:
        from tintype.tracking.store import find_weights, has_store, store_uri

        home = _home()
    except ImportError as error:
        raise UserError(
            f"{reference}: needs {error.name}, which is not installed: pip install 'tintype[train]'; "
            "--model also takes everyday or an .onnx file, which need neither MLflow nor torch"
        ) from None
    if home is None and not os.environ.get("MLFLOW_TRACKING_URI"):
        raise UserError(f"{reference}: no project around {Path.cwd()}, and no MLFLOW_TRACKING_URI is set; {HINT}")
    store = store_uri(home or Path.cwd())
    if not has_store(store):
        raise UserError(f"{reference}: there is no MLflow store {store}; {HINT}")
    return FoundModel(*find_weights(store, reference, home))


def _home() -> Path | None:
    """Return the checkout whose store is meant, or None if there is none."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").exists() and (folder / "params.yaml").is_file():
            with contextlib.suppress(UserError):
                repo = read_params(folder / "params.yaml").get("repo")
                if isinstance(repo, str):  # else the files are another program's
                    return (folder / repo).resolve()
    return CHECKOUT if (CHECKOUT / "dvc.yaml").is_file() else None
