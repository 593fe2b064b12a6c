"""The model that comes with the package: released, checked, used by default, read back as torch's weights."""

import hashlib
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from skimage import data

from tintype import Colorizer
from tintype.config import Generator
from tintype.errors import UserError
from tintype.inference import released
from tintype.inference.backends.onnx import OnnxGenerator
from tintype.inference.backends.pytorch import LabGenerator, TorchGenerator
from tintype.inference.model_names import find_model
from tintype.inference.released_weights import released_state_dict, start_from_released
from tintype.models import build_generator, load_generator, save_generator, weights_hash
from tintype.project import release

GRAY = np.asarray(Image.fromarray(data.chelsea()).convert("L"))


def noise(batch, height, width):
    return np.random.default_rng(height).uniform(0, 100, (batch, 1, height, width)).astype(np.float32)


def test_the_file_knows_its_card_and_the_card_its_figures(everyday, room, stand_in):
    digest = hashlib.sha256(everyday.read_bytes()).hexdigest()
    assert (room / "tintype-everyday.onnx.sha256").read_text() == f"{digest}  tintype-everyday.onnx\n"
    card, metadata = OnnxGenerator(everyday).card, OnnxGenerator(everyday).metadata
    (version,) = re.findall(r'^version: "(\d+)"$', (room / "MODEL_CARD.md").read_text(), flags=re.MULTILINE)
    assert (metadata.name, card.name, card.version) == ("tintype-everyday", "tintype-everyday", version)
    assert card.metrics == {"psnr_pooled": 22.471, "ciede2000": 9.876}
    assert card.weights_sha256 == weights_hash(stand_in / "models/best")
    saved = json.loads((stand_in / "models/best/generator.json").read_text())
    assert metadata.generator == saved

    text = (room / "MODEL_CARD.md").read_text()
    assert "| psnr_pooled ↑ | 22.47 | 20.91 |\n| ciede2000 ↓ | 9.88 | 10.84 |\n" in text
    assert f"SHA-256 `{digest}`" in text
    assert f"SHA-256 `{card.weights_sha256}`" in text
    assert "Not measured yet" not in text
    assert "Not released yet" not in text
    sections = re.findall(r"^## (.*)", text, re.MULTILINE)
    assert sections == [
        "What it is",
        "Data",
        "How it was made",
        "Metrics",
        "Limitations and failures",
        "License",
        "Files",
    ]


def test_releasing_again_changes_nothing(everyday, room, stand_in):
    before = {file.name: file.read_bytes() for file in room.iterdir()}
    release.release(stand_in / "models/best", stand_in / "metrics/best.json")
    assert {file.name: file.read_bytes() for file in room.iterdir()} == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere", "metrics/best.json"], "nowhere: no trained generator: No such file or directory"),
        (["models/best", "models/none.json"], "models/none.json: no metrics: "),
        (["models/best", "metrics/odd.json"], "metric 'beauty': unknown; allowed: psnr"),
    ],
)
def test_what_cannot_be_released_is_one_line_and_leaves_the_old_model(
    everyday, room, stand_in, monkeypatch, words, message
):
    monkeypatch.chdir(stand_in)
    (stand_in / "metrics/odd.json").write_text('{"beauty": 1.0}')
    before = {file.name: file.read_bytes() for file in room.iterdir()}
    with pytest.raises(SystemExit, match=f"^error: {re.escape(message)}") as ended:
        release.main(*map(release.Path, words))
    assert "\n" not in str(ended.value)
    assert {file.name: file.read_bytes() for file in room.iterdir()} == before


def test_a_model_that_is_too_large_to_ship_is_refused(everyday, stand_in, monkeypatch):
    monkeypatch.setattr(release, "MAX_BYTES", 1000)
    with pytest.raises(UserError, match=r"models/best: \d+ bytes as a released model; allowed: 1000"):
        release.release(stand_in / "models/best", stand_in / "metrics/best.json")


def test_a_model_that_nobody_could_fine_tune_is_refused(everyday, stand_in, tmp_path):
    config = Generator(
        architecture="autoencoder", filters=4, depth=3, spectral_norm=True
    )  # its weights are derived ones
    save_generator(tmp_path, build_generator(config, 0, 64), config=config, classes=[], image_size=64)
    with pytest.raises(UserError, match=r"parametrizations\.weight\.original is not in the exported file under this"):
        release.release(tmp_path, stand_in / "metrics/best.json")
    assert released.path_of_released() == everyday  # still whole


def test_a_missing_or_damaged_model_is_one_line(everyday, tmp_path, monkeypatch):
    monkeypatch.setattr(released, "ROOM", tmp_path)
    with pytest.raises(UserError, match=r"tintype-everyday\.onnx or its hash is missing .* install tintype again") as e:
        Colorizer.load()
    assert "\n" not in str(e.value)
    for file in everyday.parent.iterdir():
        shutil.copy(file, tmp_path)
    Colorizer.load()
    (tmp_path / everyday.name).write_bytes(everyday.read_bytes()[:-1] + b"?")
    with pytest.raises(UserError, match=r"tintype-everyday\.onnx is damaged: its SHA-256 is [0-9a-f]{64}, should be"):
        Colorizer.load()
    (tmp_path / f"{everyday.name}.sha256").write_text("\n")
    with pytest.raises(UserError, match=r"its hash is missing"):
        find_model("everyday")


def test_both_names_mean_it_whatever_lies_around(everyday, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "everyday").mkdir()  # as in tables/
    assert find_model("everyday") == find_model("tintype-everyday") == (everyday, "tintype-everyday", {})
    with pytest.raises(UserError, match=r"everyday: no generator\.safetensors in this folder"):
        find_model("./everyday")


def test_it_is_the_default_and_colors_as_the_weights_do_that_it_was_made_of(everyday, stand_in):
    ours, theirs = Colorizer.load()(GRAY), Colorizer.load(stand_in / "models/best")(GRAY)
    assert np.ptp(ours.astype(int), axis=2).mean() > 5
    assert np.abs(ours.astype(int) - theirs).max() <= 2
    np.testing.assert_array_equal(ours, Colorizer.load(everyday)(GRAY))


def test_its_weights_read_back_are_the_originals_rounded_to_half_precision(everyday, stand_in):
    original = load_generator(stand_in / "models/best")[0].state_dict()
    read = released_state_dict()
    assert set(read) == {key for key in original if not key.endswith("num_batches_tracked")}
    assert any("running_var" in key for key in read)
    for key, value in read.items():
        assert value.dtype == torch.float32
        expected = original[key].half().float() if value.ndim > 1 else original[key]
        torch.testing.assert_close(value, expected, rtol=0, atol=0)
    assert any((read[key] != original[key]).any() for key in read)  # rounding was needed


def test_a_generator_that_starts_from_it_answers_as_onnx_runtime_does(everyday, stand_in):
    config = load_generator(stand_in / "models/best")[1].generator
    generator = build_generator(config, 0, 64)
    start_from_released(generator)
    network = LabGenerator(generator.eval(), config.space)
    with torch.inference_mode():
        ours = network(torch.from_numpy(noise(2, 69, 100))).numpy()
    assert ours.std() > 2
    np.testing.assert_allclose(OnnxGenerator(everyday)(noise(2, 69, 100)), ours, rtol=0, atol=1e-3)
    original = TorchGenerator(stand_in / "models/best", "cpu")(noise(2, 69, 100))
    assert np.abs(original - ours).max() > 1e-3  # the rounded weights, not the original ones


@pytest.mark.parametrize(
    ("config", "difference"),
    [
        ({"space": "ycbcr"}, "generator.space: 'lab' there, 'ycbcr' here"),
        ({"filters": 4}, "decoder.0.fuse.0.weight: 32x432x3x3 there, 16x432x3x3 here"),
        ({"head": "classification"}, "to_bins.weight: missing there, 309x8x1x1 here"),
        ({"encoder": "mobilenetv3_small_050"}, "decoder.0.fuse.0.weight: 32x432x3x3 there, 32x312x3x3 here"),
    ],
)
def test_weights_of_another_architecture_are_refused_by_the_first_difference(everyday, config, difference):
    generator = build_generator(Generator(**{"architecture": "timm_unet", "filters": 8, **config}), 0, 64)
    before = {key: value.clone() for key, value in generator.state_dict().items()}
    with pytest.raises(UserError, match=f"^generator.weights = 'everyday': tintype-everyday is of .* {difference}$"):
        start_from_released(generator)
    for key, value in generator.state_dict().items():
        torch.testing.assert_close(value, before[key])


def test_reading_its_weights_without_onnx_names_the_extra(everyday, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "tintype.inference.onnx_weights", raising=False)
    with pytest.raises(UserError, match=r"generator\.weights = 'everyday': onnx is not installed; .*\[train\]"):
        released_state_dict()


def test_the_page_says_what_its_card_does(everyday):
    fastapi = pytest.importorskip("fastapi.testclient")
    from tintype.serving.app import create_app

    app = create_app(Colorizer.load(), find_model("everyday"))
    with fastapi.TestClient(app, base_url="http://127.0.0.1") as client:
        model = client.get("/api/model").json()
    assert model["name"] == "tintype-everyday"
    assert model["metrics"] == {"psnr_pooled": 22.471, "ciede2000": 9.876}
    assert model["description"].startswith("Colors photographs of everyday scenes")
    assert "guesses, not facts" in model["limitations"]


DEFAULT = "from tintype.cli import main; main()"


def test_nothing_but_the_base_install_is_imported(everyday, tmp_path):
    """torch, say, takes seconds to import, also where it is installed."""
    Image.fromarray(GRAY).save(tmp_path / "photo.png")
    program = (
        "import sys, pathlib; from tintype.inference import released; released.ROOM = pathlib.Path(sys.argv.pop(1))\n"
        "import atexit; atexit.register(lambda: print(*sys.modules))\n" + DEFAULT
    )
    command = [sys.executable, "-c", program, everyday.parent, "colorize", "photo.png"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Image.open(tmp_path / "photo-color.png").size == (451, 300)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"torch", "onnx", "mlflow", "dvc", "pandas", "fastapi", "cv2"}


def test_the_graph_is_sound(everyday):
    onnx.checker.check_model(onnx.load(everyday), full_check=True)
