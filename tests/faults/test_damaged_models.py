"""Models that are damaged, or are not tintype's: refused by one line that names them, before any photo is colored."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image
from safetensors.torch import load_file, save_file
from skimage import data

import tintype.cli
from tintype.errors import UserError
from tintype.inference.backends import load_backend
from tintype.inference.backends.onnx import OnnxGenerator
from tintype.inference.backends.pytorch import TorchGenerator
from tintype.inference.colorizer import Colorizer
from tintype.inference.model_names import find_model
from tintype.inference.onnx_digest import with_digest
from tintype.inference.onnx_metadata import METADATA

GRAY = Image.fromarray(data.chelsea()).resize((60, 40)).convert("L")
METADATA_OF_TINY = {"name": "tiny", "image_size": 32, "stride": 1, "dropouts": [], "version": "0.1.0"}


def tiny(path, *, metadata=METADATA_OF_TINY, text=None, input="lightness", output="ab", planes=2, scale=0.1, rank=4):
    """An ONNX file whose network answers the lightness, scaled, in each plane."""
    shape = ["batch", 1, "height", "width"][:rank]
    node = helper.make_node("Mul", [input, "scale"], ["scaled"])
    concat = helper.make_node("Concat", ["scaled"] * planes, [output], axis=1)
    graph = helper.make_graph(
        [node, concat],
        "tiny",
        [helper.make_tensor_value_info(input, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [shape[0], None, *shape[2:]])],
        [helper.make_tensor("scale", TensorProto.FLOAT, [1], [scale])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {METADATA: json.dumps(metadata) if text is None else text})
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def tintype_(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    GRAY.save("photo.png")

    def go(model):
        monkeypatch.setattr(sys, "argv", ["tintype", "colorize", "photo.png", "--model", str(model)])
        with pytest.raises(SystemExit) as ended:
            tintype.cli.main()
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return go


def refused(tintype_, model, message):
    status, said, complained = tintype_(model)
    assert (status, said) == (2, "")
    assert complained.startswith(f"error: {model}: ")
    assert message in complained
    assert complained.count("\n") == 1
    assert not Path("photo-color.png").exists()


@pytest.fixture
def folder(weights, tmp_path):
    return Path(shutil.copytree(weights, tmp_path / "model"))


def without_hash(folder):
    """As earlier versions wrote it."""
    card = json.loads((folder / "generator.json").read_text())
    del card["weights_sha256"]
    (folder / "generator.json").write_text(json.dumps(card))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_weight_that_is_no_number(tintype_, folder, value):
    without_hash(folder)
    assert tintype_(folder)[0] == 0
    Path("photo-color.png").unlink()
    weights = load_file(folder / "generator.safetensors")
    next(weight for weight in weights.values() if weight.ndim == 4)[0, 0, 0, 0] = value
    save_file(weights, folder / "generator.safetensors")
    refused(tintype_, folder, "holds NaN or infinity")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_exported_network_whose_answer_is_no_number(tintype_, tmp_path, value):
    refused(tintype_, tiny(tmp_path / "tiny.onnx", scale=value), "its network answers NaN or infinity")


def test_answers_that_are_no_numbers_for_some_photos_only(tmp_path, weights):
    """As of a network that overflows: it is seen when it happens."""
    for backend in (OnnxGenerator(tiny(tmp_path / "tiny.onnx")), TorchGenerator(weights, "cpu")):
        lightness = np.full((1, 1, 32, 32), 50, np.float32)
        assert np.isfinite(backend(lightness)).all()
        lightness[0, 0, 3, 3] = np.nan
        with pytest.raises(UserError, match=r"(tiny\.onnx|row): is damaged: its network answers NaN or infinity"):
            backend(lightness)


@pytest.mark.parametrize("position", [0.2, 0.5, 0.99])
def test_one_flipped_bit_of_the_weights(tintype_, folder, position):
    content = bytearray((folder / "generator.safetensors").read_bytes())
    content[int(position * len(content))] ^= 1
    (folder / "generator.safetensors").write_bytes(content)
    refused(tintype_, folder, "generator.safetensors is damaged: its SHA-256 is ")


def test_any_flipped_bit_of_an_exported_file(tmp_path):
    """Also one of the hash itself. Where it only makes the hash unrecognizable, the answers are the same."""
    whole = with_digest(tiny(tmp_path / "tiny.onnx").read_bytes())
    assert onnx.load_from_string(whole).metadata_props[-1].key == "sha256"
    lightness, path = np.linspace(0, 100, 1024, dtype=np.float32).reshape(1, 1, 32, 32), tmp_path / "flipped.onnx"
    path.write_bytes(whole)
    expected = load_backend(path)(lightness)
    refusals = 0
    for position in range(len(whole)):
        content = bytearray(whole)
        content[position] ^= 1 << position % 8
        path.write_bytes(content)
        try:
            np.testing.assert_array_equal(load_backend(path)(lightness), expected)
        except UserError:
            refusals += 1
    assert refusals > len(whole) - 80
    path.write_bytes(whole[:-100])
    with pytest.raises(UserError):
        load_backend(path)


@pytest.mark.slow
def test_exported_files_have_the_hash(weights, tmp_path):
    from tintype.inference.onnx_export import export_onnx

    export_onnx(weights, tmp_path / "model.onnx")
    load_backend(tmp_path / "model.onnx")
    content = bytearray((tmp_path / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(UserError, match="was damaged or changed after its export: the SHA-256 of its content is"):
        load_backend(tmp_path / "model.onnx")


@pytest.mark.parametrize(
    "made",
    [
        {"input": "x"},
        {"output": "y"},
        {"rank": 3, "planes": 1},
        {"text": "{"},
        {"text": "[" * 100_000},
        {"text": "null"},
        *(
            {"metadata": {**METADATA_OF_TINY, "image_size": size}}
            for size in (0, -1, 10**9, int("1" + "0" * 400), "32")
        ),
        {"text": json.dumps({**METADATA_OF_TINY, "image_size": float("nan")})},
        {"text": json.dumps(METADATA_OF_TINY).replace("32", "1" + "0" * 5000)},
        {"metadata": {**METADATA_OF_TINY, "stride": 0}},
        {"metadata": {**METADATA_OF_TINY, "dropouts": [["keep_0", 1.0, 4, 1]]}},
        {"metadata": {**METADATA_OF_TINY, "dropouts": [["keep_0", 0.5, 4, 1]]}},
        {"metadata": {**METADATA_OF_TINY, "dropouts": {"a": [[[[]]]]}}},
        {"metadata": {**METADATA_OF_TINY, "generator": {"a": [{}] * 3}, "card": {"name": {}}}},
        {"metadata": {**METADATA_OF_TINY, "beauty": 1}},
    ],
    ids=lambda made: str(made)[:60],
)
def test_onnx_files_that_are_not_tintypes(tintype_, tmp_path, made):
    refused(tintype_, tiny(tmp_path / "tiny.onnx", **made), "not a generator that `tintype export` has written")


def test_an_onnx_file_that_answers_something_else(tintype_, tmp_path):
    refused(tintype_, tiny(tmp_path / "tiny.onnx", planes=3), "the network answers float32 of shape (1, 3, 32, 32)")


def test_a_sound_file_is_taken(tmp_path):
    colors = Colorizer.load(tiny(tmp_path / "tiny.onnx"))(np.asarray(GRAY))
    assert colors.shape == (40, 60, 3)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (None, "{"),
        (None, "[" * 100_000),
        (None, "\xff"),
        (None, "[]"),
        ('"filters": 4', '"filters": NaN'),
        ('"filters": 4', '"filters": "4"'),
        ('"filters": 4', '"filters": 1' + "0" * 400),
        ('"dropout": 0.5', '"dropout": NaN'),
        ('"image_size": 32', '"image_size": 0'),
        ('"image_size": 32', '"image_size": -1'),
        ('"image_size": 32', '"image_size": 1000000000'),
        ('"image_size": 32', '"image_size": 1' + "0" * 5000),
        ('"depth": 4', '"depth": 3'),
        ('"classes": []', '"classes": [1]'),
        ('"classes": []', '"classes": {}'),
    ],
    ids=lambda text: str(text)[:30],
)
def test_a_damaged_card(tintype_, folder, old, new):
    card = folder / "generator.json"
    text = card.read_text()
    assert old is None or old in text
    card.write_text(new if old is None else text.replace(old, new), encoding="latin-1")
    refused(tintype_, folder, "")


@pytest.mark.parametrize("content", ["{", "[" * 100_000, "[]", '{"psnr": "high"}', "\xff"])
def test_damaged_metrics_beside_a_model(tintype_, weights, tmp_path, content):
    shutil.copytree(weights, tmp_path / "models/row")
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/row.json").write_text(content, encoding="latin-1")
    status, _, complained = tintype_("models/row")
    assert status == 2
    assert "metrics/row.json: is damaged" in complained
    assert complained.count("\n") == 1
    (tmp_path / "metrics/row.json").write_text('{"psnr": 20}')
    assert find_model("models/row").metrics == {"psnr": 20.0}
