"""A model by each of its names, on real stores."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import mlflow
import pytest
import torch
from PIL import Image

from tintype.config import Generator
from tintype.errors import UserError
from tintype.inference import model_names as module
from tintype.inference.model_names import find_model
from tintype.models import build_generator, save_generator, weights_hash
from tintype.tracking.registry import register
from tintype.tracking.runs import Tracker, create_store
from tintype.tracking.store import store_uri


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    """Neither in a project nor installed from a checkout; caches of its own."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # MLflow sets it when a Tracker tells it its store
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "CHECKOUT", tmp_path)
    monkeypatch.chdir(tmp_path)


def saved(folder, seed):
    config = Generator(filters=2, depth=3)
    torch.manual_seed(seed)
    save_generator(folder, build_generator(config, 0, 16), config=config, classes=[], image_size=16)
    return folder


def finished(checkout):
    """A project's end: row a is registered, row b is not. Returns the ids of their runs."""
    Image.new("RGB", (4, 4)).save(checkout / "grid.png")
    tracker = Tracker(checkout, checkout)
    rows = {row: saved(checkout / "models" / row, seed) for seed, row in enumerate("ab")}
    runs = {row: tracker.run_that_made(folder) for row, folder in rows.items()}
    for row, folder in rows.items():
        tracker.log_evaluation(runs[row], folder, {"psnr": 21.5}, checkout / "grid.png")
    register(
        tracker,
        model_name="colorizer",
        row="a",
        weights=rows["a"],
        metric="psnr",
        direction="max",
        metrics={"psnr": 21.5},
        test_split="s",
        rescore=lambda weights: 0.0,
        experiment=None,
    )
    return runs


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A checkout that is its own project."""
    checkout = tmp_path_factory.mktemp("checkout")
    (checkout / "params.yaml").write_text("repo: .\n")
    (checkout / "dvc.yaml").write_text("stages: {}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        runs = finished(checkout)
    return checkout, runs


@pytest.mark.parametrize("reference", ["models:/colorizer@champion", "models:/colorizer/1", "RUN", "runs:/RUN"])
def test_a_registered_model_where_it_lies(project, monkeypatch, reference):
    checkout, runs = project
    monkeypatch.chdir(checkout / "models/b")  # a project's store is known in all of its folders
    path, name, metrics = find_model(reference.replace("RUN", runs["a"]))
    assert weights_hash(path) == weights_hash(checkout / "models/a")
    assert path.is_relative_to(checkout / "mlartifacts")  # no copy
    assert (name, metrics) == ("colorizer 1 (a)", {"psnr": 21.5})


def test_a_run_that_was_not_registered_has_its_weights_in_its_project(project, monkeypatch):
    checkout, runs = project
    monkeypatch.chdir(checkout)
    assert find_model(runs["b"]) == (checkout / "models/b", f"b of run {runs['b'][:8]}", {"psnr": 21.5})
    shutil.move(checkout / "models/b", checkout / "models/kept")
    shutil.copytree(checkout / "models/a", checkout / "models/b")  # trained anew since
    try:
        with pytest.raises(UserError, match=f"neither registered nor in .*`tintype reproduce {runs['b']}`"):
            find_model(runs["b"])
    finally:
        shutil.rmtree(checkout / "models/b")
        shutil.move(checkout / "models/kept", checkout / "models/b")


def test_the_store_of_a_project_elsewhere_and_of_the_installed_checkout(project, monkeypatch, tmp_path):
    checkout, _ = project
    (tmp_path / "params.yaml").write_text(f"repo: {checkout}\n")
    (tmp_path / "dvc.yaml").symlink_to(checkout / "dvc.yaml")
    assert find_model("models:/colorizer/1").name == "colorizer 1 (a)"
    (tmp_path / "params.yaml").write_text("train: {}\n")  # of a program that is not tintype
    monkeypatch.setattr(module, "CHECKOUT", checkout)
    assert find_model("models:/colorizer/1").name == "colorizer 1 (a)"


def test_folders_and_files(project, tmp_path):
    checkout, _ = project
    row = checkout / "models/a"
    assert find_model(str(row)) == (row, "a", {})
    (checkout / "metrics").mkdir(exist_ok=True)
    (checkout / "metrics/a.json").write_text(json.dumps({"psnr": 20.25}))
    assert find_model(row).metrics == {"psnr": 20.25}
    # What `mlflow artifacts download` gives, and a folder around one model.
    shutil.copytree(row, tmp_path / "m-1/artifacts/a")
    assert find_model(tmp_path / "m-1")[:2] == (tmp_path / "m-1/artifacts/a", "a")
    assert find_model(tmp_path / "m-1/artifacts").path == tmp_path / "m-1/artifacts/a"
    (tmp_path / "grandma.onnx").touch()
    assert find_model("grandma.onnx")[1:] == ("grandma", {})


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("models:/nope@champion", r"Registered Model .*nope.* not found; sqlite:.* has models:/colorizer@champion$"),
        ("models:/colorizer@nope", "alias nope not found"),
        ("models:/colorizer/7", "version=7"),
        ("models:/colorizer", r"allowed: RUN_ID, runs:/RUN_ID, models:/NAME/VERSION, models:/NAME@ALIAS"),
        ("0" * 32, "0{32}.*not found"),
        (
            "no/such/folder",
            "no/such/folder: no such model; allowed: everyday, a folder with generator.safetensors, an .onnx file",
        ),
        ("metrics", "no generator.safetensors in this folder"),
        ("models", "several models; allowed: one of models/a, models/b"),
    ],
)
def test_what_is_not_there_is_one_line(project, monkeypatch, reference, message):
    checkout, _ = project
    (checkout / "metrics").mkdir(exist_ok=True)
    monkeypatch.chdir(checkout)
    with pytest.raises(UserError, match=message) as error:
        find_model(reference)
    assert "\n" not in str(error.value)


def test_without_a_store_the_user_learns_what_to_do(project, monkeypatch, tmp_path):
    with pytest.raises(UserError, match=r"no project around .*, and no MLFLOW_TRACKING_URI is set; `make repro`"):
        find_model("models:/colorizer@champion")
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "params.yaml").write_text("repo: .\n")
    with pytest.raises(UserError, match=r"there is no MLflow store sqlite:.*mlflow\.db; `make repro`.*--model"):
        find_model("models:/colorizer@champion")
    assert not (tmp_path / "mlflow.db").exists()
    create_store(tmp_path)
    with pytest.raises(UserError, match=r"sqlite:.*mlflow\.db has no models"):
        find_model("models:/colorizer@champion")
    (tmp_path / "mlflow.db").write_bytes(b"not a database" * 100)
    with pytest.raises(UserError, match="models:/colorizer@champion: "):
        find_model("models:/colorizer@champion")


def test_a_model_registered_by_other_means_is_refused(project, monkeypatch):
    checkout, _ = project
    monkeypatch.chdir(checkout)
    client = mlflow.MlflowClient(store_uri(checkout))
    client.create_registered_model("foreign")
    client.create_model_version("foreign", source=(checkout / "models").as_uri())
    with pytest.raises(UserError, match="models:/foreign/1: not a model that tintype has registered"):
        find_model("models:/foreign/1")


def test_weights_that_left_the_store_are_missed(project, monkeypatch):
    checkout, _ = project
    monkeypatch.chdir(checkout)
    kept = checkout / "mlartifacts"
    kept.rename(checkout / "moved")
    try:
        with pytest.raises(UserError, match=r"models:/colorizer/1: its weights are not in MLflow's store") as error:
            find_model("models:/colorizer@champion")
    finally:
        (checkout / "moved").rename(kept)
    assert "\n" not in str(error.value)


@pytest.fixture
def server(tmp_path):
    """A real MLflow server that holds the artifacts, too; the process, and its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["--backend-store-uri", f"sqlite:///{tmp_path}/far.db", "--artifacts-destination", str(tmp_path / "far")]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", *words, "--port", str(port), "--workers", "1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"},
        start_new_session=True,
    )
    try:
        for _ in range(240):
            assert process.poll() is None, "the server stopped"
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)
                break
            except OSError:
                time.sleep(0.5)
        yield tmp_path, f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


@pytest.mark.slow
def test_what_a_server_holds_is_downloaded_once(server, monkeypatch, tmp_path):
    far, uri = server
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    (tmp_path / "near").mkdir()
    finished(tmp_path / "near")
    digest = weights_hash(tmp_path / "near/models/a")

    first = find_model("models:/colorizer@champion")
    assert first.path == tmp_path / "cache/tintype/models" / digest
    assert weights_hash(first.path) == digest
    assert first[1:] == ("colorizer 1 (a)", {"psnr": 21.5})
    assert sorted(path.name for path in first.path.parent.iterdir()) == [digest]  # nothing half-loaded beside it
    (held,) = (far / "far").rglob("generator.safetensors")
    held.write_bytes(b"other weights")
    assert find_model("models:/colorizer@champion") == first
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(UserError, match=f"its weights in MLflow have SHA-256 .*, were registered with {digest}"):
        find_model("models:/colorizer@champion")
