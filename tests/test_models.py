"""Networks: sizes as published, shapes, gradients, what references compute, and the files they are kept in."""

import copy
import hashlib
import json
import shutil
from dataclasses import replace
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from tintype import config
from tintype.color.bins import BINS, annealed_mean
from tintype.color.lab import AB_MAX, rgb_to_lab, to_uint8
from tintype.color.spaces import SPACES
from tintype.config import Discriminator, Generator
from tintype.errors import UserError
from tintype.features.published_weights import PUBLISHED
from tintype.losses import gradient_penalty
from tintype.models import (
    DISCRIMINATORS,
    GENERATORS,
    build_discriminator,
    build_generator,
    load_generator,
    save_generator,
    weights_hash,
)
from tintype.models.attention import SelfAttention
from tintype.models.blocks import padded
from tintype.models.resnet import MEAN, STD
from tintype.training.pretrained import start_from

SMALL = Generator(filters=4, depth=4)

VARIANTS = {
    "unet": SMALL,
    "unet_attention": Generator(filters=4, depth=4, attention=True, spectral_norm=True),
    "unet_classification": Generator(filters=4, depth=4, head="classification"),
    "unet_classification_attention": Generator(filters=4, depth=5, head="classification", attention=True),
    "double_conv_unet": Generator(architecture="double_conv_unet", filters=4, depth=3, spectral_norm=True),
    "autoencoder": Generator(architecture="autoencoder", filters=4, depth=3),
    "resnet18_unet": Generator(architecture="resnet18_unet"),
    "timm_unet": Generator(architecture="timm_unet", filters=4),
    "timm_unet_classification": Generator(
        architecture="timm_unet", encoder="mobilenetv3_small_050", filters=4, head="classification"
    ),
}
"""At least one of every generator, small where it can be."""


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def without_gradient(network: torch.nn.Module) -> list[str]:
    # with a first block that is all zero past its ReLU a gradient could vanish by chance: seed first
    learning = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    return [name for name, p in learning if p.grad is None or not p.grad.any()]


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
        discriminator = build_discriminator(Discriminator(), "lab", 256)
        logits = discriminator(torch.zeros(1, 1, 256, 256), torch.zeros(1, 2, 256, 256))
    assert (
        parameters(discriminator) == 2_765_633
    )  # pix2pix's, whose input has 6 channels, has 2,768,705: 3 x 64 x 16 more
    assert logits.shape == (1, 1, 30, 30)


def test_resnet_encoder_is_of_resnet18s_size():
    with torch.device("meta"):
        generator = build_generator(VARIANTS["resnet18_unet"], 0, 256)
        reference = torchvision.models.resnet18()
    fewer = parameters(reference.fc) + 2 * 64 * 7 * 7  # one plane in place of three
    assert parameters(generator.encoder) == parameters(reference) - fewer


def test_a_logit_sees_70_pixels():
    discriminator = build_discriminator(Discriminator(filters=2, norm="none"), "lab", 256)
    chroma = torch.zeros(1, 2, 256, 256, requires_grad=True)
    discriminator(torch.zeros(1, 1, 256, 256), chroma)[0, 0, 15, 15].backward()
    rows, columns = chroma.grad.abs().sum(dim=(0, 1)).nonzero().T
    assert rows.max() - rows.min() + 1 == 70
    assert columns.max() - columns.min() + 1 == 70


def test_registries_and_params_know_the_same_names():
    assert set(get_args(config.Generator.model_fields["architecture"].annotation)) == set(GENERATORS)
    assert set(get_args(config.Discriminator.model_fields["architecture"].annotation)) == set(DISCRIMINATORS)


def test_there_is_a_variant_of_every_generator():
    assert {variant.architecture for variant in VARIANTS.values()} == set(GENERATORS)


def spaces_of(variant: Generator) -> list[str]:
    return ["lab"] if variant.head == "classification" and variant.architecture == "unet" else sorted(SPACES)


@pytest.mark.parametrize(("name", "space"), [(n, space) for n, v in VARIANTS.items() for space in spaces_of(v)])
def test_every_generator_gives_every_parameter_a_gradient(name, space):
    torch.manual_seed(1)
    generator = build_generator(VARIANTS[name].model_copy(update={"space": space}), 0, 32)
    if VARIANTS[name].attention:
        nn.init.ones_(generator.attention.gamma)  # at its 0 nothing reaches the layer's other weights
    chroma, class_logits, bin_logits = generator(torch.rand(2, 1, 37, 50))
    assert chroma.shape == (2, SPACES[space].planes, 37, 50)
    assert chroma.min() >= (-1 if SPACES[space].signed else 0)
    assert chroma.max() <= 1
    assert class_logits is None
    if VARIANTS[name].head == "classification":
        assert bin_logits.shape == (2, BINS, 10, 13)
    else:
        assert bin_logits is None
    chroma.square().sum().backward()
    assert without_gradient(generator) == []


@pytest.mark.parametrize(("depth", "image_size"), [(3, 16), (4, 32), (6, 64), (5, 96), (5, 100), (7, 100)])
@pytest.mark.parametrize("head", ["regression", "classification"])
def test_the_class_branch_gives_every_parameter_a_gradient(head, depth, image_size):
    torch.manual_seed(1)
    generator = build_generator(Generator(filters=4, depth=depth, head=head), 5, image_size)
    chroma, class_logits, _ = generator(torch.rand(3, 1, image_size, image_size) * 2 - 1)
    assert chroma.shape == (3, 2, image_size, image_size)
    assert class_logits.shape == (3, 5)
    (chroma.square().sum() + class_logits.square().sum()).backward()
    assert without_gradient(generator) == []


LOGITS = {"patch": (1, 2, 4), "dense": (1, 1, 1), "unet": (1, 37, 50), "projected": (4, 16, 16)}
"""Logits of a photo of 37x50 pixels."""


@pytest.mark.parametrize("space", ["lab", "rgb"])
@pytest.mark.parametrize("spectral_norm", [False, True])
@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize("name", sorted(DISCRIMINATORS))
def test_every_discriminator_gives_every_parameter_a_gradient(name, norm, spectral_norm, space):
    torch.manual_seed(1)
    params = Discriminator(architecture=name, filters=4, norm=norm, spectral_norm=spectral_norm)
    discriminator = build_discriminator(params, space, 64)
    logits = discriminator(torch.rand(2, 1, 37, 50), torch.rand(2, SPACES[space].planes, 37, 50))
    logits.square().sum().backward()
    assert logits.shape == (2, *LOGITS[name])
    assert without_gradient(discriminator) == []
    assert norm == "batch" or not any(isinstance(m, nn.BatchNorm2d) and m.training for m in discriminator.modules())


@pytest.mark.parametrize("spectral_norm", [False, True])
@pytest.mark.parametrize("name", sorted(DISCRIMINATORS))
def test_every_discriminator_can_be_differentiated_twice(name, spectral_norm):
    torch.manual_seed(1)
    params = Discriminator(architecture=name, filters=4, layers=2, norm="none", spectral_norm=spectral_norm)
    discriminator = build_discriminator(params, "lab", 32).double()
    photos = torch.rand(3, 2, 2, 37, 50, dtype=torch.float64)
    lightness = torch.rand(2, 1, 37, 50, dtype=torch.float64)
    discriminator(lightness, photos[0])
    discriminator.eval()  # else each call moves the spectral norm, and the two slopes are of two functions
    weight = next(p for p in discriminator.parameters() if p.ndim == 4 and p.requires_grad)

    def penalty() -> torch.Tensor:
        torch.manual_seed(2)
        return gradient_penalty(discriminator, lightness, photos[1], photos[2])

    penalty().backward()
    values = []
    for step in (1e-9, -2e-9):  # so small that hardly a leaky ReLU turns
        weight.data[0, 0, 0, 0] += step
        values.append(penalty().item())
    assert weight.grad[0, 0, 0, 0].item() == pytest.approx((values[0] - values[1]) / 2e-9, rel=1e-2)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_generator_is_the_same_in_every_layout_copy_and_precision(name):
    torch.manual_seed(1)
    generator = build_generator(VARIANTS[name], 0, 32).eval()
    x = torch.rand(2, 1, 48, 64)
    assert_same_in_every_layout_copy_and_precision(lambda network, x: network(x).chroma, generator, x)


@pytest.mark.parametrize("name", sorted(DISCRIMINATORS))
def test_every_discriminator_is_the_same_in_every_layout_copy_and_precision(name):
    torch.manual_seed(1)
    discriminator = build_discriminator(
        Discriminator(architecture=name, filters=4, spectral_norm=True), "lab", 32
    ).eval()
    x = torch.rand(2, 3, 48, 64)
    assert_same_in_every_layout_copy_and_precision(lambda network, x: network(x[:, :1], x[:, 1:]), discriminator, x)


@torch.no_grad()
def assert_same_in_every_layout_copy_and_precision(call, network, x):
    want = call(network, x)
    assert torch.equal(call(copy.deepcopy(network), x), want)
    last = copy.deepcopy(network).to(memory_format=torch.channels_last)
    torch.testing.assert_close(call(last, x.to(memory_format=torch.channels_last)), want, rtol=1e-3, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(call(network, x).float(), want, rtol=0.1, atol=0.05)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("unet", (48, 64)),
        ("unet_classification_attention", (64, 64)),
        ("autoencoder", (40, 56)),
        ("resnet18_unet", (64, 64)),
        ("timm_unet", (64, 64)),
        ("timm_unet_classification", (64, 64)),
    ],
)
def test_a_size_that_does_not_divide_is_padded_with_its_edge(name, size):
    torch.manual_seed(1)
    generator = build_generator(VARIANTS[name], 0, 32).eval()
    x = torch.rand(1, 1, 37, 50)
    by_hand = np.pad(x, [(0, 0), (0, 0), (0, size[0] - 37), (0, size[1] - 50)], mode="edge")
    want = generator(torch.from_numpy(by_hand)).chroma[..., :37, :50]
    torch.testing.assert_close(generator(x).chroma, want, rtol=0, atol=0)


def test_a_size_that_divides_is_left_alone():
    x = torch.rand(1, 1, 48, 64)
    assert padded(x, 16) is x
    assert padded(x, 32).shape == (1, 1, 64, 64)
    # the photo itself goes into the encoder: what leaves it is what the layers alone make of it
    generator = build_generator(SMALL, 0, 32).eval()
    seen = []
    generator.encoder[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    assert generator(x).chroma.shape == (1, 2, 48, 64)
    assert seen[0] is x


def test_no_bias_where_batch_norm_follows():
    discriminators = [
        build_discriminator(Discriminator(architecture=name, filters=4), "lab", 32) for name in DISCRIMINATORS
    ]
    followed = 0
    for network in [*discriminators, *(build_generator(variant, 0, 32) for variant in VARIANTS.values())]:
        for block in network.modules():
            for module, after in pairwise(block) if isinstance(block, nn.Sequential) else ():
                if isinstance(after, nn.BatchNorm2d):
                    followed += 1
                    assert module.bias is None
    assert followed > 30


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
    chroma, class_logits, _ = generator(torch.zeros(1, 1, 64, 48))
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


@pytest.mark.parametrize(("image_size", "side"), [(128, 2), (120, 2), (96, 1), (24, 1)])
def test_class_branch_flattens_the_grid_of_the_padded_photo(image_size, side):
    generator = build_generator(Generator(filters=2, depth=4), 3, image_size)
    grids = []
    generator.class_branch.blocks.register_forward_hook(lambda _, inputs, output: grids.append(output.shape[-2:]))
    generator(torch.rand(2, 1, image_size, image_size))
    assert grids == [(side, side)]
    assert generator.class_branch.side == side


def test_the_smallest_photo_that_has_a_patch():
    discriminator = build_discriminator(Discriminator(filters=2), "lab", 24)
    assert discriminator(torch.zeros(2, 1, 24, 24), torch.zeros(2, 2, 24, 24)).shape == (2, 1, 1, 1)


def test_double_convolutions_scale_after_batch_norm_and_drop_out_near_the_input():
    net = build_generator(Generator(architecture="double_conv_unet", filters=2, depth=4, dropout=0.2), 0, 64).net
    assert [len([m for m in level if isinstance(m, nn.Conv2d)]) for level in [*net.encoder, net.bottom]] == [2] * 5
    assert [type(block[0]) for block in [*net.down, *net.up]] == [nn.BatchNorm2d] * 8
    assert [block[1].stride for block in [*net.down, *net.up]] == [(2, 2)] * 8
    dropouts = [[m.p for m in level if isinstance(m, nn.Dropout)] for level in [*net.encoder, net.bottom, *net.decoder]]
    assert dropouts == [[0.2], [0.2]] + [[]] * 7


@pytest.mark.parametrize(("name", "skips"), [("double_conv_unet", True), ("autoencoder", False)])
def test_only_the_autoencoder_sees_nothing_past_its_bottom(name, skips):
    torch.manual_seed(1)
    generator = build_generator(Generator(architecture=name, filters=4, depth=2), 0, 32).eval()
    generator.net.bottom.register_forward_hook(lambda _, inputs, output: torch.zeros_like(output))
    one, other = generator(torch.rand(2, 1, 32, 32)).chroma
    assert (not torch.equal(one, other)) == skips


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test_self_attention_is_that_of_sagan():
    torch.manual_seed(1)
    layer = SelfAttention(16).double()
    x = torch.randn(2, 16, 5, 7, dtype=torch.float64)
    assert torch.equal(layer(x), x)  # gamma starts at 0
    nn.init.constant_(layer.gamma, 0.7)
    f, g, h, v = (conv.weight.detach().numpy()[:, :, 0, 0] for conv in (layer.f, layer.g, layer.h, layer.v))
    assert (f.shape, g.shape, h.shape, v.shape) == ((2, 16), (2, 16), (8, 16), (16, 8))
    for got, photo in zip(layer(x), x, strict=True):
        pixels = photo.flatten(1).numpy()
        beta = softmax((g @ pixels).T @ (f @ pixels))  # row j: what pixel j takes from each pixel i
        want = pixels + 0.7 * (v @ (h @ pixels) @ beta.T)
        np.testing.assert_allclose(got.detach().flatten(1).numpy(), want, atol=1e-12)


@pytest.mark.parametrize(("depth", "head"), [(4, "regression"), (6, "regression"), (6, "classification")])
def test_attention_is_at_an_eighth_of_the_size(depth, head):
    generator = build_generator(Generator(filters=2, depth=depth, attention=True, head=head), 0, 64)
    grids = []
    generator.attention.register_forward_hook(lambda _, inputs, output: grids.append(output.shape[-2:]))
    generator(torch.rand(2, 1, 64, 128))
    assert grids == [(8, 16)]


def test_classified_chroma_is_the_annealed_mean_enlarged():
    torch.manual_seed(1)
    generator = build_generator(VARIANTS["unet_classification"], 0, 32).eval()
    nn.init.normal_(generator.to_bins.bias)
    chroma, _, logits = generator(torch.rand(1, 1, 32, 48))
    assert logits.shape == (1, BINS, 8, 12)
    small = annealed_mean(logits) / AB_MAX
    # bilinear, half-pixel centers: a corner keeps its cell's value, the middle of four cells is their mean
    torch.testing.assert_close(chroma[..., 0, 0], small[..., 0, 0])
    middle = chroma[..., 3:5, 3:5].mean(dim=(-2, -1))
    torch.testing.assert_close(middle, small[..., :2, :2].mean(dim=(-2, -1)))


@pytest.mark.parametrize(
    "params",
    [
        Generator(filters=4, depth=4, attention=True, spectral_norm=True),
        Discriminator(architecture="dense", filters=4, spectral_norm=True),
    ],
)
def test_spectral_norm_holds_every_weight_at_1(params):
    torch.manual_seed(1)
    lightness, chroma = torch.rand(2, 1, 32, 32), torch.rand(2, 2, 32, 32)
    if isinstance(params, Generator):
        network, inputs = build_generator(params, 3, 32), (lightness,)
    else:
        network, inputs = build_discriminator(params, "lab", 32), (lightness, chroma)
    with torch.no_grad():
        for _ in range(60):
            network(*inputs)
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
    assert len(layers) == len([name for name in network.state_dict() if name.endswith("weight.original")])
    for layer in layers:
        weight = layer.eval().weight.detach()
        matrix = (weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight).flatten(1).numpy()
        assert np.linalg.svd(matrix, compute_uv=False)[0] == pytest.approx(1, abs=0.05)  # drawn, they are at 0.1 to 0.5


@pytest.fixture
def published_resnet(tmp_path, monkeypatch):
    """torchvision's ResNet-18 with weights of its own, in torch.hub's cache as the published ones would be."""
    torch.manual_seed(1)
    reference = torchvision.models.resnet18().eval()
    for module in reference.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.running_mean)
    published = PUBLISHED["resnet18"]
    path = tmp_path / "checkpoints" / published.file_name
    path.parent.mkdir()
    torch.save(reference.state_dict(), path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(PUBLISHED, "resnet18", replace(published, sha256=sha256))
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    return reference


@pytest.mark.parametrize("space", sorted(SPACES))
def test_a_gray_photo_looks_to_the_encoder_as_to_resnet18(published_resnet, space):
    params = Generator(architecture="resnet18_unet", space=space, weights="imagenet")
    generator = build_generator(params, 0, 64).eval()
    start_from(generator, params)
    gray = (to_uint8(torch.rand(2, 1, 64, 96)) / 255).expand(-1, 3, -1, -1)
    lightness, _ = SPACES[space].split(rgb_to_lab(gray))
    want: list[torch.Tensor] = []
    for name in ("relu", "layer1", "layer2", "layer3", "layer4"):
        getattr(published_resnet, name).register_forward_hook(lambda _, inputs, output: want.append(output))
    with torch.no_grad():
        published_resnet((gray - MEAN) / STD)
        _, *got = generator.encode(lightness)
    for features, reference in zip(got, want, strict=True):
        torch.testing.assert_close(features, reference, rtol=1e-3, atol=1e-3)


def test_gray_is_normalized_as_imagenets_photos_are_on_average():
    preset = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.transforms()
    assert pytest.approx(np.mean(preset.mean), abs=1e-3) == MEAN
    assert pytest.approx(np.mean(preset.std), abs=1e-3) == STD


def test_a_saved_resnet_needs_no_published_weights(tmp_path, published_resnet):
    params = Generator(architecture="resnet18_unet", weights="imagenet")
    generator = build_generator(params, 0, 64)
    start_from(generator, params)
    save_generator(tmp_path / "model", generator, config=params, classes=[], image_size=64)
    shutil.rmtree(tmp_path / "checkpoints")
    loaded, _ = load_generator(tmp_path / "model")
    x = torch.rand(1, 1, 40, 40)
    torch.testing.assert_close(loaded(x).chroma, generator.eval()(x).chroma, rtol=0, atol=0)


def test_damaged_published_weights_are_refused(tmp_path, published_resnet):
    (tmp_path / "checkpoints" / PUBLISHED["resnet18"].file_name).write_bytes(b"<html>")
    params = Generator(architecture="resnet18_unet", weights="imagenet")
    generator = build_generator(params, 0, 64)
    with pytest.raises(UserError, match=r"generator.weights = 'imagenet': no usable resnet18.*'none'"):
        start_from(generator, params)


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
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "SHA256SUMS",
        "generator.json",
        "generator.safetensors",
    ]


@pytest.mark.parametrize("name", VARIANTS)
def test_every_generator_can_be_saved_and_loaded(tmp_path, name):
    torch.manual_seed(1)
    classes = ["beach", "forest"] if VARIANTS[name].architecture == "unet" else []
    generator = build_generator(VARIANTS[name], len(classes), 32)
    with torch.no_grad():
        generator(torch.rand(2, 1, 32, 32))  # moves batch norm's means and the spectral norms
    save_generator(tmp_path, generator, config=VARIANTS[name], classes=classes, image_size=32)
    random_state = torch.get_rng_state()
    loaded, _ = load_generator(tmp_path)
    assert torch.equal(torch.get_rng_state(), random_state)
    x = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        for got, want in zip(loaded(x), generator.eval()(x), strict=True):
            assert (got is want is None) or torch.equal(got, want)
    assert {p.device.type for p in [*loaded.parameters(), *loaded.buffers()]} == {"cpu"}
    (loaded.train()(x).chroma.sum()).backward()  # and can be trained on


def test_a_card_of_before_the_other_generators_still_loads(tmp_path):
    save_generator(tmp_path, build_generator(SMALL, 0, 32), config=SMALL, classes=[], image_size=32)
    card = {
        "generator": {"architecture": "unet", "filters": 4, "depth": 4, "dropout": 0.5},
        "classes": [],
        "image_size": 32,
    }
    (tmp_path / "generator.json").write_text(json.dumps(card))
    (tmp_path / "SHA256SUMS").unlink()
    assert load_generator(tmp_path)[1].generator == SMALL


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
    (tmp_path / "SHA256SUMS").unlink()  # a model of an earlier version
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


def test_double_convolutions_keep_the_size_of_what_passes_through():
    """He et al. 2015, arXiv:1502.01852: without batch norm between them, N(0, 0.02) would shrink it tenfold a level."""
    torch.manual_seed(1)
    generator = build_generator(Generator(architecture="double_conv_unet", filters=64, depth=1, dropout=0.0), 0, 32)
    x = torch.randn(4, 64, 32, 32)
    out = generator.net.decoder[0](torch.cat([x, torch.randn_like(x)], dim=1))
    assert out.square().mean().sqrt().item() == pytest.approx(1, abs=0.35)
