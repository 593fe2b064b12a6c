"""The registered model in MLflow: its versions, and which of them is the champion."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from filelock import FileLock
from mlflow.artifacts import download_artifacts
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
from PIL import Image

from tintype.closure import PACKAGE, code_hash
from tintype.models.storage import weights_hash
from tintype.tracking.runs import Tracker
from tintype.tracking.store import weights_in

PYFUNC = PACKAGE / "serving" / "pyfunc.py"
PHOTOS = ModelSignature(
    inputs=Schema([ColSpec("binary", "photo")]),
    outputs=Schema([ColSpec("binary")]),
    params=ParamSchema(
        [
            ParamSpec("saturation", "double", 1.0),
            ParamSpec("keep_color", "boolean", False),
            ParamSpec("format", "string", "same"),
        ]
    ),
)
REQUIRED = (
    "mlflow",
    "torch",
    "torchvision",
    "timm",
    "safetensors",
    "pydantic",
    "numpy",
    "pandas",
    "pillow",
    "scikit-image",
    "scipy",
    "tqdm",
    "filelock",
)


def register(
    tracker: Tracker,
    *,
    model_name: str,
    row: str,
    weights: Path,
    metric: str,
    direction: str,
    metrics: Mapping[str, float],
    test_split: str,
    rescore: Callable[[Path], float],
    experiment: str | None,
) -> dict[str, Any]:
    """Make `weights` a version of `model_name`, and move the aliases.

    There is one version per hash of the weights and of the served code.

    Args:
        tracker: tracker of the project.
        weights: folder of a trained generator.
        metric, direction: what ranks models. `metrics[metric]` is the value of this one.
        test_split: hash of the data that `metrics` were measured on.
        rescore: measures a folder of weights by `metric` on this project's test split.
        experiment: name of the DVC experiment that this runs in. An experiment never moves ``champion``.
    Returns:
        The keys model, version, alias, row, metric, score and weights_sha256.
    """
    tags = {"weights_sha256": weights_hash(weights), "code_sha256": code_hash(PYFUNC), "row": row}
    score, lock = metrics[metric], FileLock(tracker.lock)
    with lock:
        number = _version(tracker, model_name, tags)
        if number is None:
            measured = {f"test_{metric}": repr(score), "test_split": test_split}
            number = _log_model(tracker, model_name, weights, {**tags, **measured})
    while True:
        # Outside the lock, which all runs of the store wait for: measuring a champion takes minutes.
        champion = _champion(tracker, model_name)
        is_better = not experiment and _beats(champion, score, metric, direction, test_split, rescore)
        alias = "champion" if is_better or _is(champion, number, tags, experiment) else "challenger"
        with lock:
            now = _champion(tracker, model_name)
            if _number(now) == _number(champion):
                tracker.client.set_registered_model_alias(model_name, alias, number)
                break
    return {
        "model": model_name,
        "version": int(number),
        "alias": alias,
        "row": row,
        "metric": metric,
        "score": score,
        "weights_sha256": tags["weights_sha256"],
    }


def _log_model(tracker: Tracker, name: str, weights: Path, tags: Mapping[str, str]) -> str:
    run_id = tracker.find_run(f"tags.weights_sha256 = '{tags['weights_sha256']}'")
    experiment = None if run_id else tracker.experiment
    with (
        tempfile.TemporaryDirectory() as temporary,
        mlflow.start_run(run_id=run_id, experiment_id=experiment, run_name=tags["row"]),
    ):
        # Everything but the released model, which is several times as large as the rest.
        code = shutil.copytree(
            PACKAGE, Path(temporary, PACKAGE.name), ignore=shutil.ignore_patterns("*.onnx", "__pycache__")
        )
        info = mlflow.pyfunc.log_model(
            name="colorizer",
            python_model=str(PYFUNC),
            artifacts={"generator": str(weights)},
            code_paths=[str(code)],
            signature=PHOTOS,
            input_example=pd.DataFrame({"photo": [_example()]}),
            pip_requirements=[f"{package}=={version(package)}" for package in REQUIRED],
            registered_model_name=name,
        )
    number = str(info.registered_model_version)
    for tag, value in tags.items():
        tracker.client.set_model_version_tag(name, number, tag, value)
    return number


def _champion(tracker: Tracker, model_name: str) -> Any:
    """Return the champion's version, or None if the store answers that there is none.

    A store that does not answer raises its error. It must never pass for one without a champion, because then any
    model would become the champion.
    """
    models = tracker.client.search_registered_models(f"name = '{model_name}'")
    number = next((model.aliases.get("champion") for model in models), None)
    return None if number is None else tracker.client.get_model_version(model_name, number)


def _number(champion: Any) -> str | None:
    return None if champion is None else str(champion.version)


def _is(champion: Any, number: str, tags: Mapping[str, str], experiment: str | None) -> bool:
    """Return whether a version is already the champion, or has its weights with newer code."""
    if champion is None:
        return False
    same_weights = champion.tags.get("weights_sha256") == tags["weights_sha256"]
    return _number(champion) == number or (same_weights and not experiment)


def _beats(
    champion: Any, score: float, metric: str, direction: str, test_split: str, rescore: Callable[[Path], float]
) -> bool:
    """Return whether a score beats the champion's, which is measured again if it was measured on other photos."""
    if champion is None:
        return True
    held = champion.tags.get(f"test_{metric}")
    if held is None or champion.tags.get("test_split") != test_split:
        folder = Path(download_artifacts(f"models:/{champion.name}/{champion.version}"))
        incumbent = rescore(weights_in(folder))
    else:
        incumbent = float(held)
    return score < incumbent if direction == "min" else score > incumbent


def _version(tracker: Tracker, model_name: str, tags: Mapping[str, str]) -> str | None:
    same = [f"tags.{tag} = '{tags[tag]}'" for tag in ("weights_sha256", "code_sha256")]
    found = tracker.client.search_model_versions(" and ".join([f"name = '{model_name}'", *same]))
    return str(found[0].version) if found else None


def _example() -> bytes:
    """Return a photo in the form that the registered model takes."""
    file = io.BytesIO()
    Image.new("L", (64, 64), 128).save(file, "PNG")
    return file.getvalue()
