"""The registry's rules, on a real sqlite store."""

import ast
import base64
import contextlib
import io
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from unittest.mock import Mock

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import CHECKOUT
from httpx import ASGITransport, AsyncClient
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED, TEMPORARILY_UNAVAILABLE
from PIL import Image
from skimage import data
from sqlalchemy.exc import OperationalError

from tintype import Colorizer
from tintype.closure import closure
from tintype.config import Generator
from tintype.models import build_generator, save_generator
from tintype.tracking import registry
from tintype.tracking.registry import PYFUNC, REQUIRED
from tintype.tracking.runs import Tracker

TINY = Generator(filters=2, depth=3)


@pytest.fixture(scope="module")
def tracker(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    return Tracker(home, home)


@pytest.fixture(scope="module")
def register(tracker, tmp_path_factory):
    """Registers the weights of a seed with a score, as the stage does."""

    def call(seed, score, *, split="s1", experiment=None, rescored=None):
        folder = tmp_path_factory.mktemp("models") / "row"
        torch.manual_seed(seed)
        save_generator(folder, build_generator(TINY, 0, 16), config=TINY, classes=[], image_size=16)

        def rescore(weights: Path) -> float:
            assert (weights / "generator.safetensors").is_file()
            assert rescored is not None, "the champion's value was comparable: no need to measure it again"
            return rescored

        return registry.register(
            tracker,
            model_name="m",
            row="row",
            weights=folder,
            metric="ciede2000",
            direction="min",
            metrics={"ciede2000": score},
            test_split=split,
            rescore=rescore,
            experiment=experiment,
        )

    return call


def test_champion_moves_only_when_a_model_is_better_and_never_from_an_experiment(register, tracker):
    def champion():
        return int(tracker.client.get_model_version_by_alias("m", "champion").version)

    assert register(1, 10.0)["alias"] == "champion"
    assert register(2, 11.0)["alias"] == "challenger"
    assert champion() == 1
    assert register(3, 9.0, experiment="bold-try")["alias"] == "challenger"
    assert champion() == 1
    # The same weights again, no experiment: no new version, but now they may become champion.
    again = register(3, 9.0)
    assert (again["version"], again["alias"]) == (3, "champion")
    assert register(3, 9.0)["alias"] == "champion"
    assert len(tracker.client.search_model_versions("name = 'm'")) == 3
    # On another test split the champion's old 9.0 says nothing: it is measured again.
    assert register(4, 20.0, split="s2", rescored=19.0)["alias"] == "challenger"
    assert register(5, 20.0, split="s2", rescored=21.0)["alias"] == "champion"
    assert champion() == 5


@pytest.mark.parametrize(
    "error",
    [
        MlflowException("API request failed with error code 403", error_code=PERMISSION_DENIED),
        MlflowException("database is locked", error_code=TEMPORARILY_UNAVAILABLE),
        OperationalError("SELECT", {}, Exception("database is locked")),
        ConnectionError("timed out"),
    ],
    ids=lambda error: type(error).__name__ + str(error)[:20],
)
def test_a_store_that_fails_is_not_one_without_a_champion(register, tracker, monkeypatch, error):
    held = tracker.client.get_model_version_by_alias("m", "champion").version
    for name in ("search_registered_models", "get_model_version", "get_model_version_by_alias"):
        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, name, Mock(side_effect=error))
            with contextlib.suppress(type(error)):
                assert register(7, 1e9, split="s2")["alias"] == "challenger"  # a worse model
        assert tracker.client.get_model_version_by_alias("m", "champion").version == held


def test_new_code_makes_a_new_version_of_the_champion_but_not_in_an_experiment(register, tracker, monkeypatch):
    """A version is weights and the code that applies them: with either changed, the registry has what it had not."""

    def champion():
        return int(tracker.client.get_model_version_by_alias("m", "champion").version)

    best = register(6, 1.0, split="s2", rescored=2.0)
    assert champion() == best["version"]
    monkeypatch.setattr(registry, "code_hash", lambda entry: "c0de")
    tried = register(6, 1.0, split="s2", experiment="bold-try")
    assert (tried["version"], tried["alias"]) == (best["version"] + 1, "challenger")
    assert champion() == best["version"]
    again = register(6, 1.0, split="s2")
    assert (again["version"], again["alias"]) == (tried["version"], "champion")
    assert champion() == tried["version"]
    assert register(7, 2.0, split="s2")["alias"] == "challenger"


@pytest.fixture(scope="module")
def served(tmp_path_factory, weights):
    """The registered model as `mlflow.pyfunc.load_model` gives it."""
    home = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        tracker = Tracker(home, home)
    registry.register(
        tracker,
        model_name="colorizer",
        row="row",
        weights=weights,
        metric="psnr",
        direction="max",
        metrics={"psnr": 20.0},
        test_split="s",
        rescore=lambda folder: 0.0,
        experiment=None,
    )
    return mlflow.pyfunc.load_model("models:/colorizer@champion")


def encoded(pixels, format, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format, **options)
    return file.getvalue()


CAT = encoded(np.asarray(Image.fromarray(data.chelsea()).convert("L")), "PNG")
COFFEE = encoded(data.coffee(), "JPEG", quality=90)


def test_the_registered_model_is_the_colorizer(served, weights):
    cat, coffee = served.predict(pd.DataFrame({"photo": [CAT, COFFEE]}))
    with Image.open(io.BytesIO(cat)) as image:
        assert image.format == "PNG"
        assert image.size == (451, 300)
        assert image.tobytes() == Colorizer.load(weights, device="cpu")(CAT).tobytes()
    with Image.open(io.BytesIO(coffee)) as image:
        assert (image.format, image.size) == ("JPEG", (600, 400))


def test_the_registered_models_params(served):
    def answer(**params):
        (color,) = served.predict(pd.DataFrame({"photo": [COFFEE]}), params=params)
        return Image.open(io.BytesIO(color))

    gray = np.asarray(answer(saturation=0.0, format="png"))
    assert np.ptp(gray.astype(int), axis=2).max() <= 1
    assert answer(format="webp").format == "WEBP"
    kept = np.asarray(answer(keep_color=True, format="png"))
    np.testing.assert_array_equal(kept, np.asarray(Image.open(io.BytesIO(COFFEE))))


def test_more_photos_than_a_batch_come_back_in_order(served):
    shapes = [(20 + 3 * number, 40) for number in range(19)]
    photos = [encoded(np.full(shape, 99, np.uint8), "PNG") for shape in shapes]
    answers = served.predict(pd.DataFrame({"photo": photos}))
    assert [Image.open(io.BytesIO(answer)).size for answer in answers] == [(width, height) for height, width in shapes]


@pytest.mark.parametrize(
    ("photos", "params", "message"),
    [
        ([CAT, b"text"], {}, "photo 1: not an image"),
        ([CAT] * 9 + [CAT[:5000]], {}, "photo 9: truncated"),
        ([__file__], {}, "photo 0: allowed: the bytes of an image file"),
        ([CAT], {"saturation": -1.0}, "saturation -1.0: allowed: 0 to 10"),
        ([CAT], {"format": "xcf"}, "format 'xcf': allowed: same, jpeg, png"),
    ],
)
def test_the_registered_model_says_what_is_wrong(served, photos, params, message):
    with pytest.raises(mlflow.exceptions.MlflowException, match=message) as error:
        served.predict(pd.DataFrame({"photo": photos}), params=params)
    assert error.value.get_http_status_code() == 400


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("photo", "status", "said"),
    [
        (base64.b64encode(CAT).decode(), 200, '"predictions"'),
        (base64.b64encode(CAT[:5000]).decode(), 400, "photo 0: truncated"),
        ("/etc/passwd", 400, "Invalid input"),  # a path, and not base64
        ("/etc/passwd=", 400, "photo 0: not an image"),  # what is base64
    ],
    ids=["photo", "truncated", "path", "path as base64"],
)
async def test_mlflows_server_reads_no_file_and_shows_no_traceback(served, photo, status, said):
    """MLflow's own application, without its process: test_pipeline.py has that."""
    from mlflow.pyfunc.scoring_server import init

    async with AsyncClient(transport=ASGITransport(init(served)), base_url="http://test") as client:
        answer = await client.post("/invocations", json={"dataframe_records": [{"photo": photo}]})
    assert answer.status_code == status, answer.text
    assert said in answer.text
    assert "Traceback" not in answer.text
    if status == 200:
        with Image.open(io.BytesIO(base64.b64decode(answer.json()["predictions"][0]))) as image:
            assert image.size == (451, 300)


@pytest.fixture(scope="module")
def modules_served(weights):
    """Files of the package that are loaded where the registered model answers."""
    code = (
        "import sys, io, tintype.serving.pyfunc as served; model = served.Colorizer.load(sys.argv[1], device='cpu');"
        "one = model.prepare(sys.stdin.buffer.read()); served.encode_photo(model.finish(one, model.predict([one])[0]));"
        "print('\\n'.join(module.__file__ for name, module in sys.modules.items() if name.startswith('tintype.')))"
    )
    done = subprocess.run([sys.executable, "-c", code, weights], input=CAT, capture_output=True, check=True)
    package = CHECKOUT / "src/tintype"
    return {Path(file).relative_to(package).as_posix() for file in done.stdout.decode().split()}


@pytest.mark.slow
def test_the_hash_of_the_code_covers_what_is_served(modules_served):
    package = CHECKOUT / "src/tintype"
    hashed = {file.relative_to(package).as_posix() for file in closure(PYFUNC)}
    assert {name.split("/")[0] for name in modules_served - hashed} == {"config"}
    assert {"models/unet.py", "color/lab.py", "images/tiff_writer.py", "images/grayscale.py"} <= hashed


def test_the_registered_model_requires_what_its_code_imports(modules_served):
    imported = {"torchvision", "timm"}  # by generators that have their encoders
    for module in modules_served:
        for node in ast.parse((CHECKOUT / "src/tintype" / module).read_text()).body:
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.partition(".")[0])
    distributions = metadata.packages_distributions()
    third_party = imported - sys.stdlib_module_names - {"tintype"}
    unnamed = {module for module in third_party if not {name.lower() for name in distributions[module]} & set(REQUIRED)}
    assert not unnamed
    assert len(third_party) == len(REQUIRED)  # and nothing else


@pytest.mark.slow
def test_an_empty_store_survives_three_processes_at_once(tmp_path):
    code = "import sys, pathlib, tintype.tracking.runs as t; home = pathlib.Path(sys.argv[1]); t.Tracker(home, home)"
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stderr=subprocess.PIPE, env=dict(os.environ))
        for _ in range(3)
    ]
    for process in started:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()[-2000:]


def test_an_experiment_deleted_by_hand_comes_back(tracker):
    tracker.client.delete_experiment(tracker.experiment)
    again = Tracker(tracker.project, tracker.home)
    assert again.client.get_experiment(again.experiment).lifecycle_stage == "active"


def test_a_run_knows_the_commit_that_was_trained_and_the_one_that_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")  # a Tracker of before has set it

    def git(*words):
        done = subprocess.run(["git", *words], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def written(file, text):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)

    def committed():
        git("add", "src", "notes.md", "samples.png")
        git("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "x")
        return git("rev-parse", "HEAD")

    def measured(weights="w"):
        tracker = Tracker(tmp_path, tmp_path)
        written(f"{weights}/generator.safetensors", weights)
        run = tracker.run_that_made(tmp_path / weights)
        tracker.log_evaluation(run, tmp_path / weights, {"psnr": 20.0}, tmp_path / "samples.png")
        return tracker.client.get_run(run)

    git("init", "-q")
    for file in ("src/metrics.py", "notes.md", "samples.png"):
        written(file, "")
    assert measured("v").data.tags["git_commit"] == "none"

    first = committed()
    written("notes.md", "notes change no run")
    of_first = measured()
    assert (of_first.data.tags["git_commit"], of_first.data.tags["git_dirty"]) == (first, "false")
    written("src/metrics.py", "pass")
    assert measured().data.tags["test_git_dirty"] == "true"
    second = committed()
    run = measured()
    assert (run.data.tags["test_git_commit"], run.data.tags["test_git_dirty"]) == (second, "false")
    assert (run.data.tags["git_commit"], run.data.tags["git_dirty"]) == (first, "false")
    assert run.info.run_id == of_first.info.run_id
