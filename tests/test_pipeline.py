"""The tiny project through the real chain: DVC runs it, MLflow keeps it."""

import base64
import csv
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import mlflow
import numpy as np
import pytest
from PIL import Image
from skimage import data
from skimage.color import rgb2lab

from tintype.files import write_sums
from tintype.models import weights_hash
from tintype.tracking.store import store_uri


@pytest.fixture
def client(finished_project):
    return mlflow.MlflowClient(store_uri(finished_project.root))


def test_report_has_floors_and_rows_with_every_metric(finished_project):
    with (finished_project.root / "report/table.csv").open() as file:
        rows = {row["row"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["gray", "mean_ab", "gan_l1", "wgan_gp_l2_class"]
    names = (
        "psnr psnr_pooled ssim rmse mae custom_accuracy ciede2000 colorfulness colorfulness_gap "
        "feature_distance_lite2 fid_lite2 kid_lite2 class_accuracy"
    )
    assert set(rows["gan_l1"]) == {"row", *names.split()}
    assert float(rows["gray"]["colorfulness"]) < 0.2  # 8-bit grays are neutral to half a step
    assert rows["gan_l1"]["class_accuracy"] == ""  # it has no class branch
    assert 0 <= float(rows["wgan_gp_l2_class"]["class_accuracy"]) <= 1
    for row, values in rows.items():
        metrics = json.loads((finished_project.root / f"metrics/{row}.json").read_text())
        assert {name: float(values[name]) for name in metrics} == metrics


def test_a_second_repro_changes_nothing(finished_project):
    assert "Data and pipelines are up to date" in finished_project.run("dvc", "repro").stdout


def test_an_overridden_param_retrains_only_the_rows_that_inherit_it(finished_project, client):
    before = client.get_model_version_by_alias("colorizer", "champion").version
    done = finished_project.run("dvc", "exp", "run", "-n", "heavy-l1", "-S", "loss.l1_weight=512")
    assert "Running stage 'train@gan_l1'" in done.stdout
    assert "train@wgan_gp_l2_class' didn't change" in done.stdout
    assert client.get_model_version_by_alias("colorizer", "champion").version == before

    shown = finished_project.run("dvc", "exp", "show", "--csv").stdout
    assert "heavy-l1" in shown
    params = finished_project.run("dvc", "params", "diff", "--json").stdout
    assert json.loads(params)["params.yaml"]["loss.l1_weight"] == {"old": 100.0, "new": 512, "diff": 412.0}
    changed = json.loads(finished_project.run("dvc", "metrics", "diff", "--json").stdout)
    assert "metrics/gan_l1.json" in changed
    assert "metrics/wgan_gp_l2_class.json" not in changed

    finished_project.run("git", "checkout", "-q", ".")
    finished_project.run("dvc", "checkout", "-q")
    assert "Running stage 'train" not in finished_project.run("dvc", "repro").stdout


def test_every_trained_row_is_an_mlflow_run_that_says_how_to_make_it_again(finished_project, client):
    experiment = client.get_experiment_by_name(finished_project.root.name)
    runs = client.search_runs([experiment.experiment_id], "tags.row = 'gan_l1'", order_by=["attributes.start_time ASC"])
    run = runs[0]
    assert run.info.run_name == "gan_l1"
    assert run.info.status == "FINISHED"
    assert run.data.params["loss.l1_weight"] == "100.0"
    assert run.data.params["training.phases.0.train"] == "adversarial"
    assert run.data.tags["weights_sha256"] == weights_hash(finished_project.root / "models/gan_l1")
    assert run.data.tags["stage"] == "train"
    commit = run.data.tags["git_commit"]
    assert run.data.tags["reproduce"] == f"git checkout {commit} && cd . && dvc repro evaluate@gan_l1"
    assert {"git_commit", "git_dirty", "data_sha256", "config_sha256"} <= set(run.data.tags)
    assert [point.step for point in client.get_metric_history(run.info.run_id, "l1")] == [1, 2]
    metrics = json.loads((finished_project.root / "metrics/gan_l1.json").read_text())
    assert run.data.metrics["test_ciede2000"] == pytest.approx(metrics["ciede2000"])
    assert [file.path for file in client.list_artifacts(run.info.run_id, "samples")] == ["samples/gan_l1.png"]
    assert run.inputs.dataset_inputs[0].dataset.digest == run.data.tags["data_sha256"][:32]


def test_best_row_is_registered_once_as_champion(finished_project, client):
    registered = json.loads((finished_project.root / "report/registered.json").read_text())
    champion = client.get_model_version_by_alias("colorizer", "champion")
    assert registered["alias"] == "champion"
    assert not list((finished_project.root / "mlartifacts").rglob("*.onnx"))  # the released model stays in the package
    assert champion.tags["weights_sha256"] == weights_hash(finished_project.root / "models" / registered["row"])
    versions = len(client.search_model_versions("name = 'colorizer'"))
    finished_project.run("dvc", "repro", "--force", "--single-item", "register")
    assert len(client.search_model_versions("name = 'colorizer'")) == versions


@pytest.mark.slow
def test_champion_answers_over_http_with_full_size_photos(finished_project):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serve = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/colorizer@champion"]
    server = subprocess.Popen(
        [*serve, "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
        env={**os.environ, "MLFLOW_TRACKING_URI": store_uri(finished_project.root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    cat = Image.fromarray(data.chelsea()).convert("L")
    upright = Image.fromarray(data.rocket()).convert("L").rotate(90, expand=True).resize((427, 640))
    try:
        _wait_for(f"http://127.0.0.1:{port}/ping", server)
        photos = [{"photo": base64.b64encode(_png(photo)).decode()} for photo in (cat, upright)]
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations",
            data=json.dumps({"dataframe_records": photos}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            predictions = json.load(answer)["predictions"]
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
    for photo, prediction in zip((cat, upright), predictions, strict=True):
        color = np.asarray(Image.open(io.BytesIO(base64.b64decode(prediction))))
        assert color.shape == (photo.height, photo.width, 3)
        assert np.ptp(color.astype(int), axis=2).max() > 0
        # The lightness is the photo's own, to a step of 8 bits.
        gray = np.repeat(np.asarray(photo)[..., None], 3, axis=2)
        np.testing.assert_allclose(rgb2lab(color)[..., 0], rgb2lab(gray)[..., 0], atol=1.0)


def test_the_command_line_and_python_take_the_champion_of_the_project_around(finished_project, tmp_path):
    photo = tmp_path / "cat.png"
    Image.fromarray(data.chelsea()).convert("L").save(photo)
    words = ["--model", "models:/colorizer@champion", "--device", "cpu"]
    finished_project.run("tintype", "colorize", str(photo), "-o", str(tmp_path / "out"), *words)
    code = (
        "import sys; from tintype import Colorizer;"
        "Colorizer.load('models:/colorizer@champion', device='cpu')(sys.argv[1]).save(sys.argv[2])"
    )
    finished_project.run(sys.executable, "-c", code, str(photo), str(tmp_path / "python.png"))
    with Image.open(tmp_path / "out/cat.png") as one, Image.open(tmp_path / "python.png") as other:
        assert (one.size, one.mode) == ((451, 300), "RGB")
        assert one.tobytes() == other.tobytes()


def _png(photo):
    file = io.BytesIO()
    photo.save(file, "PNG")
    return file.getvalue()


def _wait_for(url, server):
    for _ in range(240):
        assert server.poll() is None, "mlflow models serve stopped"
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"{url} did not answer")


def test_plots_page_opens_offline_with_all_rows_on_one_chart(finished_project):
    finished_project.run("dvc", "plots", "show")
    page = (finished_project.root / "dvc_plots/index.html").read_text()
    assert 'src="http' not in page
    assert "src='http" not in page
    assert "window.vegaEmbed" in page
    assert '"row": "gan_l1"' in page
    assert '"row": "wgan_gp_l2_class"' in page
    assert "samples_gan_l1.png" in page.replace("/", "_")
    shutil.rmtree(finished_project.root / "dvc_plots")


@pytest.mark.slow
def test_a_grid_runs_in_the_queue_two_at_a_time(finished_project):
    for weight in (10, 20):
        finished_project.run("dvc", "exp", "run", "--queue", "-n", f"l1-{weight}", "-S", f"loss.l1_weight={weight}")
    finished_project.run("dvc", "queue", "start", "-j", "2")
    for _ in range(300):
        status = finished_project.run("dvc", "queue", "status").stdout
        if "Queued" not in status and "Running" not in status:
            break
        time.sleep(2)
    finished_project.run("dvc", "queue", "stop")
    assert status.count("Success") == 2, status
    shown = finished_project.run("dvc", "exp", "show", "--csv").stdout
    assert "l1-10" in shown
    assert "l1-20" in shown
    # The runs of experiments in temporary copies are in the project's own store.
    client = mlflow.MlflowClient(store_uri(finished_project.root))
    experiment = client.get_experiment_by_name(finished_project.root.name)
    runs = client.search_runs([experiment.experiment_id], "tags.dvc_experiment = 'l1-10'")
    assert [run.data.params["loss.l1_weight"] for run in runs] == ["10.0"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"loss": {"l1_wieght": 3}},
            "loss.l1_wieght: unknown key; allowed: adversarial, adversarial_weight, l1_weight",
        ),
        ({"training": {"batch_size": "many"}}, "training.batch_size = 'many': input should be a valid integer"),
        ({"generator": {"dropout": 1.5}}, "generator.dropout = 1.5: input should be less than 1"),
        ({"register": {"metric": "beauty"}}, "register.metric = 'beauty'"),
    ],
)
def test_a_bad_param_is_one_line_before_any_work(finished_project, change, message):
    kept = (finished_project.root / "params.yaml").read_text()
    finished_project.change_params(change)
    try:
        done = finished_project.run(
            sys.executable, "stages/configure.py", "params.yaml", "data/curated", "data/features", "x", check=False
        )
    finally:
        (finished_project.root / "params.yaml").write_text(kept)
    assert done.returncode == 2
    assert done.stderr.startswith("error: " + message)
    assert done.stderr.count("\n") == 1


def test_a_class_loss_without_classes_is_refused(finished_project, tmp_path):
    (tmp_path / "summary.json").write_text('{"classes": [], "photos": {}, "rejected": {}}')
    write_sums(tmp_path)
    command = [
        sys.executable,
        "stages/configure.py",
        "params.yaml",
        str(tmp_path),
        "data/features",
        str(tmp_path / "out"),
    ]
    done = finished_project.run(*command, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: rows.wgan_gp_l2_class: loss.class_weight = 0.003: needs photos of at least 2")
