"""Exported generators against torch's own answers, in files that know all that is needed of them."""

import json
import subprocess
import sys
from typing import get_args

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image
from test_models import VARIANTS
from torch import nn

from tintype import Colorizer
from tintype.cli import app
from tintype.color.spaces import SPACES
from tintype.config import Generator
from tintype.errors import UserError
from tintype.inference import onnx_weights
from tintype.inference.backends import load_backend
from tintype.inference.backends.onnx import OnnxGenerator
from tintype.inference.backends.pytorch import LabGenerator, TorchGenerator
from tintype.inference.onnx_export import Precision, _pooling, as_onnx, export_onnx
from tintype.inference.onnx_metadata import METADATA
from tintype.inference.onnx_weights import read_weights, store_as_float16
from tintype.models import build_generator, load_generator, save_generator

PARITY = 1e-3
"""Lab units, 9e-6 of the networks' own (110). Measured: 4e-4 of these random networks, 4e-5 of trained ones."""

CHROMA = 10
"""Standard deviation of a and b that strong colors have, Lab units."""

CASES = {name: (variant, 0) for name, variant in VARIANTS.items()}
CASES |= {space: (Generator(filters=4, depth=4, space=space), 0) for space in SPACES}
CASES["dropout"] = (Generator(filters=4, depth=4, dropout=0.5), 0)
CASES["classes"] = (Generator(filters=4, depth=4, dropout=0.5), 5)
CASES["deep_classes"] = (Generator(filters=4, depth=6, dropout=0.5), 5)


def saved(folder, config, classes=0, image_size=64):
    """A generator whose batch norms have seen something, and whose colors are strong: else any two would agree."""
    torch.manual_seed(3)
    generator = build_generator(config, classes, image_size).train()
    if config.attention:
        nn.init.normal_(generator.attention.gamma)
    for module in generator.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean of what it sees, nothing of where it began
    with torch.no_grad():
        for _ in range(3):
            generator(torch.rand(4, 1, image_size, image_size))
        network, lightness = LabGenerator(generator, config.space).eval(), torch.from_numpy(noise(4, 64, 64))
        *_, last = (module for module in generator.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d))
        for _ in range(0 if config.spectral_norm else 4):  # tanh bends: a few steps to what photos have
            last.weight.mul_(CHROMA / network(lightness).std())
    save_generator(folder, generator, config=config, classes=[str(i) for i in range(classes)], image_size=image_size)
    return folder


def noise(batch, height, width):
    return np.random.default_rng(height).uniform(0, 100, (batch, 1, height, width)).astype(np.float32)


@pytest.fixture(scope="session")
def exported(weights, tmp_path_factory):
    file = tmp_path_factory.mktemp("exported") / "generator.onnx"
    export_onnx(weights, file, name="nonsense")
    return file


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_generator_gives_torchs_answers_at_every_size(name, tmp_path):
    folder = saved(tmp_path, *CASES[name])
    theirs, ours = TorchGenerator(folder, "cpu"), OnnxGenerator(as_onnx(folder).content)
    assert theirs.chroma_stride == ours.chroma_stride == (4 if "timm" in name or "classification" in name else 1)
    for shape in [(1, 64, 64), (3, 69, 100), (1, 100, 333), (2, 192, 128)]:
        expected = theirs(noise(*shape))
        assert expected.std() > 2
        # an untrained encoder of 40 layers, behind a softmax: measured 3e-3 of answers up to 100
        atol = 1e-2 if "timm" in name else PARITY
        np.testing.assert_allclose(ours(noise(*shape)), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 16, 16), (1, 3, 50)])
def test_photos_smaller_than_the_networks_stride_too(shape, weights, exported):
    expected = TorchGenerator(weights, "cpu")(noise(*shape))
    np.testing.assert_allclose(OnnxGenerator(exported)(noise(*shape)), expected, rtol=0, atol=PARITY)


@pytest.mark.parametrize(("length", "side"), [(7, 4), (4, 4), (3, 4), (1, 2), (12, 4), (9, 1)])
def test_pooling_as_a_matrix_is_adaptive_pooling(length, side):
    x = torch.rand(2, 3, length)
    torch.testing.assert_close(x @ _pooling(length, side).T, nn.functional.adaptive_avg_pool1d(x, side))


@pytest.mark.slow
@pytest.mark.parametrize(("config", "classes"), [CASES["deep_classes"], (VARIANTS["double_conv_unet"], 0)])
def test_a_seed_draws_what_dropout_in_torch_does_of_the_same_draw(config, classes, tmp_path):
    folder = saved(tmp_path, config.model_copy(update={"dropout": 0.25}), classes)
    ours, lightness = OnnxGenerator(as_onnx(folder).content), noise(2, 70, 100)
    generator, card = load_generator(folder)
    places = [m for n, m in generator.named_modules() if isinstance(m, nn.Dropout) and "class_branch" not in n]
    masks = ours._drawn(lightness.shape, 7)
    assert len(places) == len(masks) > 0
    for place, mask in zip(places, masks.values(), strict=True):
        assert set(np.unique(mask)) == {np.float32(0), np.float32(1 / 0.75)}
        assert 0.7 < (mask > 0).mean() < 0.8
        place.register_forward_hook(lambda _, given, __, mask=mask: given[0] * torch.from_numpy(mask))
    with torch.inference_mode():
        expected = LabGenerator(generator, card.generator.space)(torch.from_numpy(lightness)).numpy()
    np.testing.assert_allclose(ours(lightness, 7), expected, rtol=0, atol=PARITY)
    assert np.abs(ours(lightness) - expected).max() > 0.1


def test_samples_are_the_same_for_the_same_seed_and_differ_for_others(exported):
    photo = noise(1, 48, 40)[0, 0] / 100
    colorizer = Colorizer.load(exported)
    first, second = colorizer.samples(photo, 2, seed=1)
    assert (first != second).any()
    np.testing.assert_array_equal(colorizer.samples(photo, 1, seed=1)[0], first)
    np.testing.assert_array_equal(colorizer(photo), colorizer(photo))


def test_a_generator_without_dropout_has_one_answer(tmp_path):
    backend = OnnxGenerator(as_onnx(saved(tmp_path, Generator(filters=4, depth=4, dropout=0))).content)
    assert not backend.stochastic
    with pytest.raises(UserError, match="this model has one answer"):
        Colorizer(backend).samples(np.zeros((40, 40), np.uint8), 2)


def test_photos_become_the_same_pictures_as_with_torch(photos, weights, exported):
    files = sorted((photos / "photos").rglob("*.jpg"))[:200:20] if (photos / "photos").is_dir() else []
    files = [file for file in files or sorted(photos.rglob("*.jpg"))[::20] if _opens(file)]
    assert len(files) >= 3
    for theirs, ours in zip(Colorizer.load(weights).many(files), Colorizer.load(exported).many(files), strict=True):
        assert np.abs(np.asarray(ours, int) - np.asarray(theirs, int)).max() <= 1


def _opens(file):
    try:
        return Image.open(file).convert("RGB").size > (0, 0)
    except OSError:
        return False


def test_the_file_knows_its_model_and_says_so_to_others_too(exported):
    backend = load_backend(exported)
    assert isinstance(backend, OnnxGenerator)
    assert (backend.metadata.name, backend.image_size, backend.stochastic) == ("nonsense", 32, True)
    model = onnx.load(exported)
    onnx.checker.check_model(model, full_check=True)
    assert [[d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim] for value in model.graph.output] == [
        ["batch", 2, "height", "width"]
    ]


def test_weights_are_exported_where_onnx_is_asked_for(weights, exported):
    by_folder = load_backend(weights, "onnx", "cpu")
    np.testing.assert_array_equal(by_folder(noise(1, 32, 40)), OnnxGenerator(exported)(noise(1, 32, 40)))


ALONE = """
import sys
for name in ("torch", "torchvision", "mlflow", "dvc", "albumentations", "safetensors", "onnx"):
    sys.modules[name] = None
import numpy as np
from tintype import Colorizer
from tintype.errors import UserError
file, weights, out = sys.argv[1:]
np.save(out, Colorizer.load(file)(np.arange(40 * 60, dtype=np.uint16).reshape(40, 60)))
try:
    Colorizer.load(weights, backend="onnx")
except UserError as error:
    print(error)
"""


def test_a_machine_without_torch_runs_the_file_and_names_what_weights_need(exported, weights, tmp_path):
    out = tmp_path / "out.npy"
    command = [sys.executable, "-c", ALONE, str(exported), str(weights), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    expected = Colorizer.load(weights)(np.arange(40 * 60, dtype=np.uint16).reshape(40, 60))
    np.testing.assert_allclose(np.load(out).astype(int), expected, atol=30)  # of 65,535
    assert "torch is not installed" in done.stdout
    assert "tintype export --onnx" in done.stdout


def test_what_is_no_exported_generator_is_refused_in_one_line(exported, tmp_path):
    identity = helper.make_node("Identity", ["lightness"], ["ab"])
    planes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 4, 4]) for name in ("lightness", "ab")]
    graph = helper.make_graph([identity], "foreign", planes[:1], planes[1:])
    foreign = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])
    contents = {
        "empty": b"",
        "text": b"not a network",
        "truncated": exported.read_bytes()[:-1000],
        "foreign": foreign.SerializeToString(),
    }
    for name, content in contents.items():
        file = tmp_path / f"{name}.onnx"
        file.write_bytes(content)
        message = "not a generator that `tintype export`" if name == "foreign" else "not a readable ONNX file"
        with pytest.raises(UserError, match=rf"{name}\.onnx: {message}") as caught:
            load_backend(file)
        assert "\n" not in str(caught.value)


def test_devices(exported):
    with pytest.raises(UserError, match=r"device 'quantum'.*allowed: auto, cpu"):
        OnnxGenerator(exported, "quantum")
    assert OnnxGenerator(exported, "cpu").session.get_providers() == ["CPUExecutionProvider"]


def test_the_command_writes_a_file_that_colorizes(weights, tmp_path, capsys):
    file = tmp_path / "new" / "model.onnx"
    app(["export", "--onnx", str(file), "--model", str(weights)], standalone_mode=False)
    told = capsys.readouterr()
    assert f"{file}: " in told.out
    assert "Lab units" in told.out
    assert told.err == ""
    assert [path.name for path in file.parent.iterdir()] == ["model.onnx"]
    assert Colorizer.load(file)(np.zeros((40, 50), np.uint8)).shape == (40, 50, 3)


def test_the_command_refuses_what_it_cannot_do(weights, exported, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    for words, message in [
        (["--onnx", "model.pt", "--model", str(weights)], r"--onnx model\.pt: allowed: a name that ends in \.onnx"),
        (["--onnx", str(tmp_path / "a.onnx"), "--model", str(exported)], "is no folder of weights"),
        (["--onnx", str(tmp_path / "a.onnx"), "--model", str(tmp_path)], r"generator\.safetensors"),
        (["--onnx", str(blocked / "a.onnx"), "--model", str(weights)], "cannot be written"),
    ]:
        with pytest.raises(UserError, match=message):
            app(["export", *words], standalone_mode=False)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


SMALL = Generator(architecture="resnet18_unet")


@pytest.fixture(scope="module", params=["unet", "resnet18_unet"])
def halved(request, weights, tmp_path_factory):
    """A folder of weights, and what is exported from it in fp32 and in fp16."""
    folder = weights if request.param == "unet" else saved(tmp_path_factory.mktemp("resnet"), SMALL)
    return folder, as_onnx(folder), as_onnx(folder, precision="fp16")


def test_weights_in_fp16_halve_the_file_and_hardly_change_its_answers(halved):
    folder, full, half = halved
    large = len(full.content) > 1e6  # in small files the graph counts, too
    assert len(half.content) / len(full.content) < (0.51 if large else 0.65)
    expected = TorchGenerator(folder, "cpu")(noise(2, 69, 100))
    difference = np.abs(OnnxGenerator(half.content)(noise(2, 69, 100)) - expected)
    assert 1e-3 < difference.max() < 1  # measured: 0.1; rounding cannot be without a trace
    assert difference.mean() < 0.05
    assert full.difference < PARITY < half.difference < 1
    onnx.checker.check_model(onnx.load_from_string(half.content), full_check=True)


def test_onnx_runtime_casts_fp16_weights_and_folds_batch_norm_once_as_it_loads(halved, tmp_path):
    optimized = []
    for index, exported in enumerate(halved[1:]):
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / f"{index}.onnx")
        onnxruntime.InferenceSession(exported.content, options, providers=["CPUExecutionProvider"])
        graph = onnx.load(tmp_path / f"{index}.onnx").graph
        optimized.append([node.op_type for node in graph.node])
        assert all(weight.data_type != TensorProto.FLOAT16 for weight in graph.initializer)
    assert optimized[0] == optimized[1]
    assert "BatchNormalization" not in optimized[0]


def test_weights_keep_the_names_and_values_that_torch_has(halved):
    folder, full, _ = halved
    weights = read_weights(onnx.load_from_string(full.content))
    expected = {
        key: value.numpy()
        for key, value in load_generator(folder)[0].state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    assert set(weights) == set(expected)
    for key, value in expected.items():
        np.testing.assert_array_equal(weights[key], value)


def test_files_of_earlier_versions_are_read(exported, tmp_path):
    model = onnx.load(exported)
    (entry,) = (entry for entry in model.metadata_props if entry.key == METADATA)
    values = json.loads(entry.value)
    old = {key: values[key] for key in ("name", "image_size", "stride", "dropouts", "version")}
    assert set(values) - set(old) == {"generator", "card", "chroma_stride"}
    entry.value = json.dumps(old)
    assert model.metadata_props.pop().key == "sha256"
    onnx.save(model, tmp_path / "old.onnx")
    backend = load_backend(tmp_path / "old.onnx")
    assert (backend.card, backend.metadata.generator) == (None, None)
    np.testing.assert_array_equal(backend(noise(1, 32, 40)), OnnxGenerator(exported)(noise(1, 32, 40)))


def test_a_file_in_fp16_that_differs_too_much_from_torch_is_not_written(weights, tmp_path, monkeypatch):
    def damaged(model, names):
        store_as_float16(model, names)
        for weight in model.graph.initializer:
            if weight.name.startswith("to_chroma") and len(weight.dims) > 1:
                weight.CopyFrom(onnx.numpy_helper.from_array(2 * onnx.numpy_helper.to_array(weight), weight.name))

    monkeypatch.setattr(onnx_weights, "store_as_float16", damaged)
    with pytest.raises(UserError, match=r"precision fp16: changes the answers of .* Lab units; allowed: 1, or fp32"):
        export_onnx(weights, tmp_path / "model.onnx", precision="fp16")
    assert not list(tmp_path.iterdir())


def test_the_command_writes_fp16(weights, exported, tmp_path, capsys):
    file = tmp_path / "half.onnx"
    app(["export", "--onnx", str(file), "--model", str(weights), "--precision", "fp16"], standalone_mode=False)
    assert file.stat().st_size < 0.7 * exported.stat().st_size
    assert get_args(Precision) == get_args(sys.modules["tintype.cli.export"].Precision)
    assert "Lab units" in capsys.readouterr().out
