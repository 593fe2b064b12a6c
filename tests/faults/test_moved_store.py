"""A store that moved, or a checkout that was copied, keeps its models."""

import os
import shutil
from pathlib import Path

import mlflow
import pytest
from mlflow.artifacts import download_artifacts

from tintype.models import weights_hash
from tintype.tracking import registry
from tintype.tracking.runs import Tracker
from tintype.tracking.store import find_weights, weights_in


def register(home, weights, score):
    """Register weights as the stage does. A champion of other photos is measured again, so its files are read."""
    return registry.register(
        Tracker(home, home),
        model_name="m",
        row="row",
        weights=weights,
        metric="psnr",
        direction="max",
        metrics={"psnr": score},
        test_split=str(score),
        rescore=lambda folder: 20.0 if weights_hash(folder) else 0.0,
        experiment=None,
    )


@pytest.fixture(autouse=True)
def store_of_the_checkout(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield
    os.environ.pop("MLFLOW_TRACKING_URI", None)


def opened(home):
    """Forget the store of before, as a new process does."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    mlflow.set_tracking_uri(None)
    return f"sqlite:///{home}/mlflow.db"


def champion_of(store):
    mlflow.set_tracking_uri(store)
    return Path(download_artifacts("models:/m@champion"))


@pytest.fixture(scope="module")
def made(tmp_path_factory, weights):
    home = tmp_path_factory.mktemp("first") / "my checkout"
    home.mkdir()
    register(home, weights, 20.0)
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    return home


@pytest.fixture
def other_weights(weights, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(weights, tmp_path / "other/row")
    state = load_file(folder / "generator.safetensors")
    save_file({name: value + 1 for name, value in state.items()}, folder / "generator.safetensors")
    return folder


def test_a_copy_uses_its_own_artifacts_and_leaves_the_originals(made, weights, other_weights, tmp_path):
    before = sorted(made.rglob("*"))
    copy = shutil.copytree(made, tmp_path / "copy")
    store = opened(copy)
    found, _, _ = find_weights(store, "models:/m@champion", copy)
    assert weights_hash(found) == weights_hash(weights)
    assert champion_of(store).is_relative_to(copy)
    opened(copy)
    assert register(copy, other_weights, 21.0)["alias"] == "champion"
    assert weights_hash(weights_in(champion_of(store))) == weights_hash(other_weights)
    assert champion_of(store).is_relative_to(copy)
    assert sorted(made.rglob("*")) == before


def test_a_moved_store_keeps_its_champion(made, weights, other_weights, tmp_path):
    copy = shutil.copytree(made, tmp_path / "before")
    store = opened(copy)
    find_weights(store, "models:/m@champion", copy)  # from here on, its addresses lead to `before`
    moved = copy.rename(tmp_path / "after 100%")
    store = opened(moved)
    assert register(moved, other_weights, 21.0)["alias"] == "champion"  # rescores the old champion
    assert weights_hash(weights_in(champion_of(store))) == weights_hash(other_weights)
    assert weights_hash(weights_in(Path(download_artifacts("models:/m/1")))) == weights_hash(weights)


def test_artifacts_that_are_elsewhere_keep_their_address(made, weights, tmp_path):
    """A database without its artifacts: those of the original are still the ones."""
    (tmp_path / "alone").mkdir()
    shutil.copy(made / "mlflow.db", tmp_path / "alone")
    store = opened(tmp_path / "alone")
    find_weights(store, "models:/m@champion", tmp_path)
    assert champion_of(store).is_relative_to(made)
