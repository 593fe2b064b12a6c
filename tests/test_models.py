"""Networks: sizes as published, shapes, gradients, and the files they are kept in."""

import json
from typing import get_args

import pytest
import torch

from tintype import config
from tintype.config import ConfigError, Discriminator, Generator
from tintype.models import (
    DISCRIMINATORS,
    GENERATORS,
    build_discriminator,
    build_generator,
    load_generator,
    save_generator,
    weights_hash,
)

SMALL = Generator(filters=4, depth=4)


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


# what the places205 report states, and what follows from its layers, counted by hand:
# sum over convolutions of c_in * c_out * 16, 2 c for each batch norm, (n + 1) m for each dense layer
@pytest.mark.parametrize(("classes", "counted", "reported"), [(0, 54_410_946, 54e6), (205, 97_096_079, 97e6)])
def test_generator_of_published_size(classes, counted, reported):
    with torch.device("meta"):
        generator = build_generator(Generator(), classes, 256)
    assert parameters(generator) == counted
    assert parameters(generator) == pytest.approx(reported, rel=0.02)


def test_discriminator_of_published_size_and_patches():
    with torch.device("meta"):
        critic = build_discriminator(Discriminator(), 256)
        logits = critic(torch.zeros(1, 1, 256, 256), torch.zeros(1, 2, 256, 256))
    assert parameters(critic) == 2_765_633  # pix2pix's, whose input has 6 channels, has 2,768,705: 3 x 64 x 16 more
    assert logits.shape == (1, 1, 30, 30)


def test_a_logit_sees_70_pixels():
    critic = build_discriminator(Discriminator(filters=2, norm="none"), 256)
    chroma = torch.zeros(1, 2, 256, 256, requires_grad=True)
    critic(torch.zeros(1, 1, 256, 256), chroma)[0, 0, 15, 15].backward()
    rows, columns = chroma.grad.abs().sum(dim=(0, 1)).nonzero().T
    assert rows.max() - rows.min() + 1 == 70
    assert columns.max() - columns.min() + 1 == 70


def test_registries_and_params_know_the_same_names():
    assert set(get_args(config.Generator.model_fields["name"].annotation)) == set(GENERATORS)
    assert set(get_args(config.Discriminator.model_fields["name"].annotation)) == set(DISCRIMINATORS)


@pytest.mark.parametrize("classes", [0, 5])
@pytest.mark.parametrize(("depth", "image_size"), [(3, 16), (4, 32), (6, 64), (5, 96)])
@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_every_generator_gives_every_parameter_a_gradient(name, depth, image_size, classes):
    torch.manual_seed(1)
    generator = build_generator(Generator(name=name, filters=4, depth=depth), classes, image_size)
    chroma, class_logits = generator(torch.rand(3, 1, image_size, image_size) * 2 - 1)
    assert chroma.shape == (3, 2, image_size, image_size)
    assert chroma.abs().max() <= 1
    assert (class_logits is None) if classes == 0 else (class_logits.shape == (3, classes))
    loss = chroma.square().sum() + (class_logits.square().sum() if classes else 0)
    loss.backward()
    # with a first block that is all zero past its ReLU a gradient could vanish by chance: seeded
    assert [n for n, p in generator.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize("name", sorted(DISCRIMINATORS))
def test_every_discriminator_gives_every_parameter_a_gradient(name, norm):
    torch.manual_seed(1)
    critic = build_discriminator(Discriminator(name=name, filters=4, norm=norm), 64)
    logits = critic(torch.rand(2, 1, 64, 64), torch.rand(2, 2, 64, 64))
    logits.square().sum().backward()
    assert logits.shape == (2, 1, 6, 6)
    assert [n for n, p in critic.named_parameters() if p.grad is None or not p.grad.any()] == []
    assert norm == "batch" or not any(isinstance(m, torch.nn.BatchNorm2d) for m in critic.modules())


def test_no_bias_where_batch_norm_follows():
    for network in (build_generator(SMALL, 0, 32), build_discriminator(Discriminator(filters=4), 32)):
        for block in network.modules():
            if isinstance(block, torch.nn.Sequential) and any(isinstance(m, torch.nn.BatchNorm2d) for m in block):
                assert block[0].bias is None


def test_weights_are_drawn_as_in_pix2pix():
    torch.manual_seed(1)
    generator = build_generator(Generator(filters=32, depth=5), 7, 64)
    for module in generator.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d | torch.nn.Linear):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.1)
            assert module.bias is None or not module.bias.any()
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.weight.mean().item() == pytest.approx(1, abs=0.01)
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.5)


def test_dropout_only_in_the_first_three_decoder_blocks():
    generator = build_generator(Generator(filters=2, depth=6, dropout=0.3), 0, 64)
    dropouts = [[m.p for m in block if isinstance(m, torch.nn.Dropout)] for block in generator.decoder]
    assert dropouts == [[0.3], [0.3], [0.3], [], []]


@pytest.mark.parametrize("classes", [0, 3])
def test_other_sizes_at_inference(classes):
    generator = build_generator(SMALL, classes, 32).eval()
    chroma, class_logits = generator(torch.zeros(1, 1, 64, 48))
    assert chroma.shape == (1, 2, 64, 48)
    assert classes == 0 or class_logits.shape == (1, 3)


def test_class_branch_is_the_same_at_its_own_size():
    branch = build_generator(Generator(filters=2, depth=4), 3, 128).class_branch.eval()
    x = torch.rand(2, 8, 16, 16)
    assert branch.side == 2
    flat = branch.blocks(x).flatten(1)
    torch.testing.assert_close(branch(x)[1], branch.head(flat), rtol=0, atol=0)


def test_the_class_branch_steers_the_chroma():
    generator = build_generator(SMALL, 3, 32).eval()
    x = torch.rand(1, 1, 32, 32)
    before = generator(x).chroma
    torch.nn.init.constant_(generator.class_branch.fusion[2].bias, 1.0)
    assert (generator(x).chroma - before).abs().max() > 1e-6


@pytest.mark.parametrize(
    ("depth", "image_size", "allowed"),
    [(8, 64, "from 3 to 6 or an image_size that is a multiple of 256"), (4, 100, "allowed: an image_size.* of 16")],
)
def test_a_size_that_cannot_be_halved_is_refused(depth, image_size, allowed):
    both = rf"generator.depth = {depth} with preprocess.image_size = {image_size}"
    with pytest.raises(ConfigError, match=rf"{both}.*{allowed}"):
        build_generator(Generator(depth=depth, filters=2), 0, image_size)


def test_too_many_discriminator_layers_are_refused():
    with pytest.raises(ConfigError, match=r"discriminator.layers = 3.*at most 2 layers, or an image_size from 24"):
        build_discriminator(Discriminator(filters=2), 16)
    critic = build_discriminator(Discriminator(filters=2), 24)
    assert critic(torch.zeros(2, 1, 24, 24), torch.zeros(2, 2, 24, 24)).shape == (2, 1, 1, 1)


@pytest.mark.parametrize("classes", [[], ["beach", "forest"]])
def test_saved_and_loaded_is_the_same(tmp_path, classes):
    generator = build_generator(SMALL, len(classes), 32).to(memory_format=torch.channels_last)
    generator(torch.rand(4, 1, 32, 32))  # moves batch norm's running means
    save_generator(tmp_path / "model", generator, config=SMALL, classes=classes, image_size=32)
    random_state = torch.get_rng_state()
    loaded, card = load_generator(tmp_path / "model")
    assert torch.equal(torch.get_rng_state(), random_state)
    assert (card.generator, card.classes, card.image_size) == (SMALL, classes, 32)
    assert not loaded.training
    x = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(loaded(x).chroma, generator.eval()(x).chroma)
    for name, value in generator.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["generator.json", "generator.safetensors"]


def test_the_weights_hash_is_of_the_weights(tmp_path):
    generator = build_generator(SMALL, 0, 32)
    for name in ("a", "b"):
        save_generator(tmp_path / name, generator, config=SMALL, classes=[], image_size=32)
    assert weights_hash(tmp_path / "a") == weights_hash(tmp_path / "b")
    with torch.no_grad():
        next(generator.parameters()).add_(1e-3)
    save_generator(tmp_path / "b", generator, config=SMALL, classes=[], image_size=32)
    assert weights_hash(tmp_path / "a") != weights_hash(tmp_path / "b")


def test_damaged_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"generator.json: no such file"):
        load_generator(tmp_path)
    save_generator(tmp_path, build_generator(SMALL, 0, 32), config=SMALL, classes=[], image_size=32)
    card, weights = tmp_path / "generator.json", tmp_path / "generator.safetensors"
    good = card.read_text()
    card.write_text(json.dumps(json.loads(good) | {"classes": ["a", "b"]}))  # claims a branch that has no weights
    with pytest.raises(ValueError, match=r"not a saved generator.*class_branch"):
        load_generator(tmp_path)
    card.write_text("{")
    with pytest.raises(ValueError, match="not a saved generator"):
        load_generator(tmp_path)
    card.write_text(good)
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ValueError, match="not a saved generator"):
        load_generator(tmp_path)
