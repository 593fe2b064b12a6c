"""The U-Net on an encoder of timm: what it sees, which of its parts learn, and what it refuses."""

import pytest
import torch
from torch import nn

from tintype.color.lab import rgb_to_lab, to_uint8
from tintype.color.spaces import SPACES
from tintype.config import Generator, Phase
from tintype.errors import UserError
from tintype.features.backbones import Backbone, imagenet_weights
from tintype.models import build_generator, load_generator, save_generator
from tintype.training.pretrained import start_from
from tintype.training.step import Networks

LITE0 = Generator(architecture="timm_unet", filters=8, weights="imagenet", encoder_norm="frozen")


@pytest.fixture(scope="module")
def generator():
    torch.manual_seed(1)
    generator = build_generator(LITE0, 0, 64)
    start_from(generator, LITE0)
    return generator


@pytest.mark.parametrize("space", sorted(SPACES))
def test_a_gray_photo_looks_to_the_encoder_as_to_the_backbone(space):
    params = LITE0.model_copy(update={"space": space})
    generator = build_generator(params, 0, 64)
    start_from(generator, params)
    backbone = Backbone("tf_efficientnet_lite0", imagenet_weights("tf_efficientnet_lite0", "key")).eval()
    gray = (to_uint8(torch.rand(2, 1, 64, 96)) / 255).expand(-1, 3, -1, -1)
    lightness, _ = SPACES[space].split(rgb_to_lab(gray))
    seen = []
    generator.encoder.register_forward_hook(lambda _, inputs, outputs: seen.extend(outputs))
    with torch.no_grad():
        generator.eval()(lightness)
        want = backbone(gray)
    for features, reference in zip(seen, want, strict=True):
        torch.testing.assert_close(features, reference, rtol=1e-2, atol=1e-2)  # of values up to 6


def test_frozen_norm_keeps_its_means_and_batch_norm_moves_them(generator):
    def means(network):
        return {name: value.clone() for name, value in network.state_dict().items() if "running" in name}

    before = means(generator)
    generator.train()(torch.rand(2, 1, 64, 64))
    after = means(generator)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert not any(name.startswith("encoder.") for name in moved)

    other = build_generator(LITE0.model_copy(update={"encoder_norm": "batch"}), 0, 64)
    before = means(other)
    other.train()(torch.rand(2, 1, 64, 64))
    assert any(not torch.equal(before[name], value) for name, value in means(other).items() if "encoder" in name)


@pytest.mark.parametrize("levels", range(6))
def test_frozen_levels_do_not_learn_and_the_others_do(generator, levels):
    """By the names of EfficientNet's parts: which of them each level is the first to need."""
    parts = [("conv_stem", "bn1", "blocks.0."), ("blocks.1.",), ("blocks.2.",), ("blocks.3.", "blocks.4.")]
    parts.append(("blocks.5.", "blocks.6."))
    frozen = tuple(part for level in parts[:levels] for part in level)
    phase = Phase(train="generator", epochs=1, lr=0.01, frozen_levels=levels, encoder_lr_factor=0.25)
    networks = Networks(generator)
    networks.start(phase)
    networks.set_learning_rate(0.02)
    rates = {p: g["lr"] for g in networks.generator_optimizer.param_groups for p in g["params"]}
    for name, parameter in generator.named_parameters():
        part = name.removeprefix("encoder.network.")
        if part == name:
            assert rates[parameter] == 0.02
        elif frozen and part.startswith(frozen):
            assert parameter not in rates
            assert not parameter.requires_grad
        else:
            assert rates[parameter] == 0.005
            assert parameter.requires_grad


def test_depthwise_convolutions_stay_in_float32_under_a_cpus_autocast(generator):
    types = {}

    def remember(module, inputs, output):
        types.setdefault(module.groups > 1, set()).add(output.dtype)

    generator.requires_grad_(True)
    hooks = [m.register_forward_hook(remember) for m in generator.modules() if isinstance(m, nn.Conv2d)]
    with torch.autocast("cpu", torch.bfloat16):
        generator.eval()(torch.rand(1, 1, 64, 64))
    for hook in hooks:
        hook.remove()
    assert types == {True: {torch.float32}, False: {torch.bfloat16}}


def test_a_saved_one_needs_no_imagenet_weights(generator, tmp_path, monkeypatch):
    save_generator(tmp_path, generator, config=LITE0, classes=[], image_size=64)
    monkeypatch.setattr("tintype.features.backbones.imagenet_weights", None)
    loaded, _ = load_generator(tmp_path)
    x = torch.rand(1, 1, 45, 70)
    torch.testing.assert_close(loaded(x).chroma, generator.eval()(x).chroma, rtol=0, atol=0)


def test_an_encoder_that_timm_lacks_is_refused():
    with pytest.raises(UserError, match=r"encoder 'resnet19': timm .* has no such network .*resnet18"):
        build_generator(Generator(architecture="timm_unet", encoder="resnet19"), 0, 64)


def test_chroma_is_amplified_once_training_is_over():
    torch.manual_seed(1)
    plain = build_generator(LITE0, 0, 64)
    vivid = build_generator(LITE0.model_copy(update={"chroma_gain": 1.5}), 0, 64)
    vivid.load_state_dict(plain.state_dict())
    x = torch.rand(1, 1, 64, 64)
    chroma = plain.eval()(x).chroma
    torch.testing.assert_close(vivid.eval()(x).chroma, (1.5 * chroma).clamp(-1, 1))
    torch.testing.assert_close(vivid.train()(x).chroma, plain.train()(x).chroma)
