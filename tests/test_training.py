"""Training: what a step does to whom, and that a run can be trusted, repeated, broken off and shared out."""

import contextlib
import copy
import csv
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import CHECKOUT
from PIL import Image
from skimage.color import deltaE_ciede2000, lab2rgb, rgb2lab
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tintype.closure import closure
from tintype.color.spaces import SPACES
from tintype.config import Discriminator, Generator, Loss, Phase, Preprocess, Row, Training
from tintype.data.batches import Batch
from tintype.data.cache import LabCache
from tintype.data.cache_builder import build_cache
from tintype.data.lab_codes import decode
from tintype.errors import UserError
from tintype.files import replacing, sha256_of
from tintype.losses import Criterion
from tintype.models import build_generator
from tintype.training import fit, loop, step
from tintype.training.curves import write_curves
from tintype.training.moving_average import Averaged
from tintype.training.schedule import generator_learns, learning_rate
from tintype.training.setup import make_fabric, make_networks
from tintype.training.speed import seconds_a_photo
from tintype.training.step import train_step

SIZE = 32
GAN = Phase(train="adversarial", epochs=2, lr=1e-3)
WGAN = Loss(adversarial="wgan_gp", adversarial_weight=0.1, l1_weight=0.0, l2_weight=1.0, class_weight=0.003)


def make_row(
    *phases: Phase, loss=None, norm="batch", dropout=0.5, filters=4, generator=None, discriminator=None, **training
) -> Row:
    return Row(
        name="tiny",
        generator=Generator(**{"filters": filters, "depth": 4, "dropout": dropout, **(generator or {})}),
        discriminator=Discriminator(**{"filters": filters, "layers": 2, "norm": norm, **(discriminator or {})}),
        loss=loss or Loss(),
        training=Training(**{"batch_size": 4, "ema_decay": 0.0, "phases": phases or (GAN,), **training}),
    )


WGAN_ROW = make_row(
    Phase(train="generator", epochs=1, lr=1e-3),
    Phase(train="discriminator", epochs=1, lr=1e-3),
    Phase(train="adversarial", epochs=6, lr=1e-3, schedule="cosine", discriminator_steps=2),
    loss=WGAN,
    norm="none",
    ema_decay=0.9,
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """25 made-up photos of two classes: 16 to train on, 9 to validate."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "photos").mkdir()
    rng = np.random.default_rng(1)
    lines = ["path,class,split,width,height,sha256"]
    for i in range(25):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        coarse.resize((SIZE, SIZE), Image.Resampling.BICUBIC).save(folder / "photos" / f"{i}.png")
        sha256 = sha256_of(folder / "photos" / f"{i}.png")
        lines.append(f"{i}.png,{'ab'[i % 2]},{'train' if i < 16 else 'validation'},{SIZE},{SIZE},{sha256}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    build_cache(folder, folder / "manifest.csv", Preprocess(image_size=SIZE), 10**6, folder / "cache", workers=1)
    return LabCache.open(folder / "cache")


@pytest.fixture
def checkpoint(tmp_path):
    return tmp_path / "checkpoints" / "row.pt"


def train(row, cache, checkpoint, **options):
    return fit(row, cache, checkpoint=checkpoint, device="cpu", **options)


def same_weights(a, b) -> bool:
    a, b = (x if isinstance(x, dict) else x.state_dict() for x in (a, b))
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def started(row, phase=0):
    fabric = make_fabric(row, "cpu")
    networks = make_networks(row, SIZE, 2, fabric)
    networks.start(row.training.phases[phase])
    return networks, fabric


def criterion_of(loss, space="lab") -> Criterion:
    return Criterion(loss, SPACES[space])


def random_batch(photos=4) -> Batch:
    torch.manual_seed(7)
    lightness = torch.rand(photos, 1, SIZE, SIZE)
    return Batch(lightness, torch.rand(photos, 2, SIZE, SIZE), torch.arange(photos) % 2, lightness)


# schedules


def test_learning_rates_by_hand():
    cosine = Phase(train="generator", epochs=1, lr=2e-4, schedule="cosine", lr_final=2e-6)
    assert learning_rate(cosine, 0) == pytest.approx(2e-4)
    assert learning_rate(cosine, 1 / 3) == pytest.approx(2e-6 + 1.98e-4 * 0.75)  # cos 60° = 1/2
    assert learning_rate(cosine, 1 / 2) == pytest.approx(1.01e-4)
    assert learning_rate(cosine, 1) == pytest.approx(2e-6)
    assert learning_rate(cosine.model_copy(update={"schedule": "constant"}), 0.7) == 2e-4


def test_learning_rates_as_torch_has_them():
    phase = Phase(train="generator", epochs=1, lr=1e-3, schedule="cosine", lr_final=1e-5)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=phase.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20, eta_min=phase.lr_final)
    for i in range(20):
        assert learning_rate(phase, i / 20) == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()


def test_whose_turn_it_is():
    phase = Phase(train="adversarial", epochs=1, discriminator_steps=5)
    assert [generator_learns(phase, i) for i in range(10)] == [False, False, False, False, True] * 2
    assert all(generator_learns(GAN, i) for i in range(3))
    assert all(generator_learns(Phase(train="generator", epochs=1, discriminator_steps=5), i) for i in range(3))
    assert not any(generator_learns(Phase(train="discriminator", epochs=1), i) for i in range(3))


# the step


def test_a_step_is_that_of_a_plain_loop():
    """Channels-last, fused and with one generator forward, it moves the weights as the textbook's loop does."""
    row = make_row(dropout=0.0)
    networks, fabric = started(row)
    generator, discriminator = copy.deepcopy(networks.generator), copy.deepcopy(networks.discriminator)
    for network in (generator, discriminator):
        for weight in network.parameters():
            weight.data = weight.data.contiguous()
    optimizer_g, optimizer_d = (
        torch.optim.Adam(network.parameters(), lr=1e-3, betas=(0.5, 0.999)) for network in (generator, discriminator)
    )
    gray, color, *_ = batch = random_batch()
    one = torch.ones(())
    for _ in range(3):
        terms = train_step(networks, batch, criterion_of(row.loss), fabric)

        real, fake = discriminator(gray, color), discriminator(gray, generator(gray).chroma.detach())
        loss_real = F.binary_cross_entropy(real.sigmoid(), 0.9 * one.expand_as(real))
        loss_fake = F.binary_cross_entropy(fake.sigmoid(), 0 * one.expand_as(fake))
        optimizer_d.zero_grad()
        (loss_real + loss_fake).backward()
        optimizer_d.step()
        chroma = generator(gray).chroma
        fake = discriminator(gray, chroma)
        loss_gan = F.binary_cross_entropy(fake.sigmoid(), one.expand_as(fake))
        loss_l1 = 100 * (chroma - color).abs().mean()
        optimizer_g.zero_grad()
        (loss_gan + loss_l1).backward()
        optimizer_g.step()

        want = {
            "discriminator_real": loss_real,
            "discriminator_fake": loss_fake,
            "adversarial": loss_gan,
            "l1": loss_l1,
        }
        assert {name: terms[name].item() for name in want} == pytest.approx(
            {name: term.item() for name, term in want.items()}, rel=1e-3
        )
        assert terms["discriminator_real_success"].item() == pytest.approx((real > 0).float().mean().item(), abs=0.02)
    for ours, theirs in ((networks.generator, generator), (networks.discriminator, discriminator)):
        for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            # Adam's first steps are the gradients' signs: where a gradient is nothing but rounding they may differ
            assert ((a - b).abs() > 1e-4).float().mean() < 0.01, name


def test_one_generator_forward_serves_both_updates():
    networks, fabric = started(make_row())
    calls = []
    networks.generator.register_forward_hook(lambda *_: calls.append(1))
    train_step(networks, random_batch(), criterion_of(Loss()), fabric)
    assert len(calls) == 1


def test_the_generators_update_leaves_the_discriminators_gradients_alone():
    networks, fabric = started(make_row())
    batch = random_batch()
    step.discriminator_step(
        networks, batch, networks.generator(batch.lightness).chroma.detach(), criterion_of(Loss()), fabric
    )
    before = [p.grad.clone() for p in networks.discriminator.parameters()]
    weights = copy.deepcopy(dict(networks.discriminator.named_parameters()))
    step.generator_step(networks, batch, networks.generator(batch.lightness), criterion_of(Loss()), fabric)
    assert all(torch.equal(p.grad, grad) for p, grad in zip(networks.discriminator.parameters(), before, strict=True))
    assert same_weights(dict(networks.discriminator.named_parameters()), weights)
    assert all(p.requires_grad for p in networks.discriminator.parameters())


def test_a_discriminators_phase_leaves_the_generators_weights_alone():
    row = make_row(Phase(train="discriminator", epochs=1))
    networks, fabric = started(row)
    generator, discriminator = (
        copy.deepcopy(dict(n.named_parameters())) for n in (networks.generator, networks.discriminator)
    )
    terms = train_step(networks, random_batch(), criterion_of(row.loss), fabric, generator_learns=False)
    assert sorted(terms) == [
        "discriminator_fake",
        "discriminator_fake_success",
        "discriminator_real",
        "discriminator_real_success",
    ]
    assert same_weights(dict(networks.generator.named_parameters()), generator)
    assert not same_weights(dict(networks.discriminator.named_parameters()), discriminator)


def test_weight_decay_is_on_the_convolutions_alone():
    """With gradients of 0, Adam's own L2 moves what it is on and nothing else."""
    phase = Phase(train="discriminator", epochs=1, lr=1e-3, weight_decay=0.1)
    networks, _ = started(make_row(phase))
    before = copy.deepcopy(dict(networks.discriminator.named_parameters()))
    for parameter in networks.discriminator.parameters():
        parameter.grad = torch.zeros_like(parameter)
    networks.discriminator_optimizer.step()
    kernels = {f"{name}.weight" for name, m in networks.discriminator.named_modules() if isinstance(m, torch.nn.Conv2d)}
    moved = {name for name, p in networks.discriminator.named_parameters() if not torch.equal(p, before[name])}
    assert moved == kernels


def test_the_discriminators_weights_are_clipped_after_its_step():
    loss = Loss(adversarial="wgan", weight_clip=0.005)
    networks, fabric = started(make_row(loss=loss))
    train_step(networks, random_batch(), criterion_of(loss), fabric)
    assert max(p.abs().max().item() for p in networks.discriminator.parameters()) == pytest.approx(0.005)


@pytest.mark.parametrize("adversarial", ["hinge", "wgan"])
def test_of_a_projected_discriminator_the_heads_alone_learn(adversarial):
    """And through its frozen network the generator gets a gradient."""
    loss = Loss(adversarial=adversarial, adversarial_weight=1.0, l1_weight=0.0)
    row = make_row(loss=loss, discriminator={"architecture": "projected"}, norm="none")
    networks, fabric = started(row)
    before = copy.deepcopy(networks.discriminator.state_dict())
    generator = copy.deepcopy(dict(networks.generator.named_parameters()))
    for network in networks.all():
        network.train()
    for _ in range(2):
        terms = train_step(networks, random_batch(), criterion_of(loss), fabric)
    assert "adversarial" in terms
    moved = {
        name for name, value in networks.discriminator.state_dict().items() if not torch.equal(value, before[name])
    }
    heads = {name for name in before if name.startswith("heads.")}
    assert moved <= heads
    assert {name for name in heads if name.endswith("weight")} <= moved  # a bias may have no say in hinge's and wgan's
    assert {name for name, p in networks.discriminator.named_parameters() if p.requires_grad} == heads
    assert not same_weights(dict(networks.generator.named_parameters()), generator)


@pytest.mark.parametrize("space", sorted(SPACES))
def test_training_in_every_space(space, cache, checkpoint):
    """One batch's photos in the space, both networks with as many planes, metrics that validation can take."""
    row = make_row(Phase(train="generator", epochs=1, lr=1e-3), GAN, generator={"space": space})
    trained = train(row, cache, checkpoint)
    assert trained.generator(torch.zeros(1, 1, SIZE, SIZE)).chroma.shape[1] == SPACES[space].planes
    assert all(math.isfinite(value) for value in trained.curves[-1].values() if isinstance(value, float))
    assert trained.curves[-1]["val_ciede2000"] < 60


def test_one_batch_can_be_overfitted():
    row = make_row(Phase(train="generator", epochs=1, lr=3e-3), dropout=0.0, filters=16)
    networks, fabric = started(row)
    batch = random_batch()
    noise = F.interpolate(torch.rand(4, 2, 4, 4), size=SIZE, mode="bilinear") - 0.5
    batch = batch._replace(chroma=noise)
    losses = [train_step(networks, batch, criterion_of(row.loss), fabric)["l1"].item() / 100 for _ in range(120)]
    assert losses[0] > 0.12
    assert losses[-1] < 0.03


def test_the_moving_average_is_torchs():
    torch.manual_seed(1)
    network = build_generator(Generator(filters=4, depth=3), 0, 16)
    averaged = Averaged(network, 0.9)
    averaged.updates = 1000  # past the warm-up
    theirs = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    theirs.update_parameters(network)  # the first update is a copy
    for _ in range(3):
        with torch.no_grad():
            for tensor in (*network.parameters(), *network.buffers()):
                tensor.add_(1)
        averaged.move_to(network)
        theirs.update_parameters(network)
    ours, theirs = averaged.network.state_dict(), theirs.module.state_dict()
    for name in ours:
        if ours[name].is_floating_point():
            torch.testing.assert_close(ours[name], theirs[name])


def test_the_moving_average_warms_up():
    """By hand: decays of 1/10, 2/11, 3/12, then the limit of 0.25."""
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(network.weight)
    averaged, values = Averaged(network, 0.25), []
    torch.nn.init.ones_(network.weight)
    for _ in range(4):
        averaged.move_to(network)
        values.append(1 - averaged.network.weight.item())
    assert values == pytest.approx([1 / 10, 2 / 110, 2 / 440, 2 / 1760], rel=1e-5)


def test_a_phase_changes_the_rows_loss(cache, checkpoint):
    """Three phases: L1; L1 and colorfulness; adversarial. Each has the terms of its own loss, and no other."""
    phases = (
        Phase(train="generator", epochs=1),
        Phase(train="generator", epochs=1, loss={"colorfulness_weight": 2.0, "l1_weight": 50.0}),
        Phase(train="adversarial", epochs=1, loss={"adversarial_weight": 0.5}),
    )
    row = make_row(*phases, loss=Loss(adversarial_weight=0.0))
    assert [loss.l1_weight for loss in row.losses] == [100, 50, 100]
    trained = train(row, cache, checkpoint)
    terms = [{name for name in record if name in ("l1", "colorfulness", "adversarial")} for record in trained.curves]
    assert terms == [{"l1"}, {"l1", "colorfulness"}, {"l1", "adversarial"}]


def test_the_colorfulness_term_makes_colors_stronger(cache, tmp_path):
    """Source of the term: DDColor, equation 6; its value by hand for flat colors has no deviation, only the mean."""
    plain, vivid = (
        train(
            make_row(Phase(train="generator", epochs=4, lr=1e-3), loss=Loss(l1_weight=1.0, colorfulness_weight=weight)),
            cache,
            tmp_path / str(weight),
        ).curves[-1]["val_colorfulness"]
        for weight in (0.0, 20.0)
    )
    assert vivid > 1.2 * plain


TIMM_ROW = make_row(
    Phase(train="generator", epochs=1, frozen_levels=5),
    Phase(train="generator", epochs=1, frozen_levels=2, encoder_lr_factor=0.1, image_size=16),
    generator={"architecture": "timm_unet", "encoder": "mobilenetv3_small_050"},
    ema_decay=0.9,
)


def test_an_encoders_levels_learn_phase_by_phase(cache, checkpoint):
    after = []

    def remember(record, speed, panel):
        state = torch.load(checkpoint, weights_only=True)["networks"]["generator"]
        after.append({name: value for name, value in state.items() if "running" not in name and "num_" not in name})

    trained = train(TIMM_ROW, cache, checkpoint, on_epoch=remember, checkpoint_every_s=0)
    assert trained.image_size == 16
    moved = {name for name in after[0] if not torch.equal(after[0][name], after[1][name])}
    encoder = {name.removeprefix("encoder.network.") for name in moved if name.startswith("encoder.")}
    assert any(name.startswith("decoder.") for name in moved)
    assert encoder
    assert not any(name.startswith(("conv_stem", "blocks.0.")) for name in encoder)
    torch.manual_seed(TIMM_ROW.training.seed)
    fresh = build_generator(TIMM_ROW.generator, 0, SIZE).state_dict()
    of_encoder = [name for name in after[0] if name.startswith("encoder.")]
    assert all(torch.equal(fresh[name], after[0][name]) for name in of_encoder)  # all frozen at first


# a row's training


def test_records(cache, checkpoint):
    seen = []
    trained = train(WGAN_ROW, cache, checkpoint, on_epoch=lambda record, speed, panel: seen.append((record, speed)))
    assert [record for record, _ in seen] == trained.curves
    assert all(speed["seconds"] > 0 and speed["photos_per_s"] > 0 for _, speed in seen)
    assert trained.is_rank_zero
    assert not trained.generator.training
    validation = {"val_mae", "val_ciede2000", "val_colorfulness"}
    discriminator, generator = (
        {"discriminator_real", "discriminator_fake", "gradient_penalty"},
        {"adversarial", "l2", "class"},
    )
    for i, (phase, terms) in enumerate(
        [
            ("generator", {"l2", "class"}),
            ("discriminator", discriminator),
            *[("adversarial", discriminator | generator)] * 6,
        ]
    ):
        record = trained.curves[i]
        assert set(record) == {"epoch", "phase", "lr"} | terms | validation
        assert (record["epoch"], record["phase"]) == (i + 1, phase)
        assert all(math.isfinite(value) for name, value in record.items() if name != "phase")
    # the third phase's fourth epoch begins half way down its cosine
    assert trained.curves[5]["lr"] == pytest.approx((1e-3 + 2e-6) / 2)
    assert trained.curves[-1]["l2"] < trained.curves[0]["l2"]


def test_validation_figures_are_those_of_the_returned_generator(cache, checkpoint):
    trained = train(make_row(ema_decay=0.5), cache, checkpoint)
    lab = decode(cache.split("validation").codes).permute(0, 2, 3, 1).double().numpy()
    with torch.no_grad():
        gray = torch.from_numpy(lab[..., 0] / 50 - 1).float()[:, None]
        chroma = trained.generator(gray).chroma.permute(0, 2, 3, 1).double().numpy()
    assert trained.curves[-1]["val_mae"] == pytest.approx(np.abs(chroma - lab[..., 1:] / 110).mean(), rel=1e-4)
    shown = rgb2lab(lab2rgb(np.concatenate([lab[..., :1], 110 * chroma], axis=-1)))
    assert trained.curves[-1]["val_ciede2000"] == pytest.approx(deltaE_ciede2000(shown, lab).mean(), rel=1e-3)


def test_the_same_seed_gives_the_same_weights_and_curves_and_another_others(cache, tmp_path):
    a, b = (train(WGAN_ROW, cache, tmp_path / name) for name in "ab")
    assert same_weights(a.generator, b.generator)
    assert a.curves == b.curves
    other = WGAN_ROW.model_copy(update={"training": WGAN_ROW.training.model_copy(update={"seed": 2})})
    assert not same_weights(a.generator, train(other, cache, tmp_path / "c").generator)


def test_photos_that_are_read_ahead_give_the_same_weights(cache, tmp_path, monkeypatch):
    held = train(WGAN_ROW, cache, tmp_path / "held")
    monkeypatch.setattr("tintype.data.batches._room", lambda device: 0)
    for ahead in (1, 5):
        monkeypatch.setattr("tintype.data.batches.AHEAD", ahead)
        read = train(WGAN_ROW, cache, tmp_path / f"read {ahead}")
        assert same_weights(held.generator, read.generator)
        assert held.curves == read.curves


def test_the_average_is_what_is_returned(cache, tmp_path):
    raw = train(make_row(), cache, tmp_path / "raw")
    averaged = train(make_row(ema_decay=0.9), cache, tmp_path / "averaged")
    assert [r["l1"] for r in raw.curves] == [r["l1"] for r in averaged.curves]  # it does not change the training
    assert raw.curves[-1]["val_mae"] != averaged.curves[-1]["val_mae"]
    assert not same_weights(raw.generator, averaged.generator)


def test_discriminator_steps_count(cache, checkpoint, monkeypatch):
    counts, photos, descend = {}, [], step.descend

    def counting(optimizer, terms, fabric):
        who = "discriminator" if "discriminator_real" in terms else "generator"
        counts[who] = counts.get(who, 0) + 1
        descend(optimizer, terms, fabric)

    def watched(networks, batch, *args, **kwargs):
        photos.append(batch.chroma.sum().item())
        return train_step(networks, batch, *args, **kwargs)

    monkeypatch.setattr(step, "descend", counting)
    monkeypatch.setattr("tintype.training.loop.train_step", watched)
    train(make_row(Phase(train="adversarial", epochs=2, discriminator_steps=3)), cache, checkpoint)
    assert counts == {"discriminator": 8, "generator": 2}  # 4 batches an epoch; steps 3 and 6 of 8
    assert len(set(photos)) == 8  # a fresh batch each


def test_without_an_adversarial_weight_there_is_no_discriminator(cache, checkpoint):
    trained = train(make_row(loss=Loss(adversarial_weight=0)), cache, checkpoint)
    assert {record["phase"] for record in trained.curves} == {"generator"}
    assert "discriminator_real" not in trained.curves[0]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (make_row(loss=Loss(class_weight=1)), r"loss.class_weight = 1.0: needs photos of at least 2 classes"),
        (make_row(Phase(train="generator", epochs=1), loss=Loss(l1_weight=0)), r"are all 0.*at least one over 0"),
    ],
)
def test_what_cannot_be_trained_is_refused(cache, checkpoint, row, message):
    class OneClass:
        image_size, digest, split, classes = cache.image_size, cache.digest, cache.split, ["a"]

    with pytest.raises(UserError, match=message):
        train(row, OneClass(), checkpoint)


def test_batches_that_cannot_be_shared_are_refused():
    from tintype.training.setup import check

    with pytest.raises(UserError, match=r"training.batch_size = 4 for 3 processes.*multiples of 3 from 6"):
        check(make_row(), photos=16, classes=2, processes=3)
    with pytest.raises(UserError, match=r"the training split has 1 photos, at least 2 are needed"):
        check(make_row(), photos=1, classes=2, processes=1)


def test_bfloat16_trains_alike(cache, tmp_path):
    full, half = (
        train(make_row(loss=WGAN, norm="none", dropout=0.0, precision=precision), cache, tmp_path / precision)
        for precision in ("32-true", "bf16-mixed")
    )
    assert {weight.dtype for weight in half.generator.parameters()} == {torch.float32}
    for a, b in zip(full.curves, half.curves, strict=True):
        assert b["l2"] == pytest.approx(a["l2"], rel=0.05)
        assert b["gradient_penalty"] == pytest.approx(a["gradient_penalty"], rel=0.05)
    assert half.curves[-1]["l2"] != full.curves[-1]["l2"]


def test_curves_as_csv(tmp_path):
    write_curves(tmp_path / "curves.csv", [{"epoch": 1, "l1": 0.5}, {"epoch": 2, "l1": 0.25, "class": 1.0}])
    with (tmp_path / "curves.csv").open() as file:
        assert list(csv.reader(file)) == [["epoch", "l1", "class"], ["1", "0.5", ""], ["2", "0.25", "1.0"]]


def test_probe_times_each_phase():
    seconds = seconds_a_photo(WGAN_ROW, SIZE, 2, steps=1, device="cpu")
    assert len(seconds) == 3
    assert all(0 < s < 60 for s in seconds)


def test_compiled_it_trains_the_same(cache, tmp_path, monkeypatch):
    real = (
        torch.nn.Module.compile
    )  # traced and split into forward and backward as ever; only the minute of g++ is spared
    monkeypatch.setattr(torch.nn.Module, "compile", lambda network: real(network, backend="aot_eager"))
    phase = Phase(train="adversarial", epochs=1, discriminator_steps=2)
    eager, compiled = (
        train(make_row(phase, dropout=0.0, loss=WGAN, norm="none", compile=compile), cache, tmp_path / str(compile))
        for compile in (False, True)
    )
    assert compiled.generator.state_dict().keys() == eager.generator.state_dict().keys()
    for a, b in zip(eager.curves, compiled.curves, strict=True):
        assert {**a, "phase": 0} == pytest.approx({**b, "phase": 0}, rel=1e-3)


# checkpoints

SCRIPT = """
import sys
from pathlib import Path
import torch
from tintype.config import load_row
from tintype.data.cache import LabCache
from tintype.training import fit

row, cache, checkpoint, out, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
trained = fit(load_row(Path(row)), LabCache.open(Path(cache)), checkpoint=Path(checkpoint), device="cpu",
              checkpoint_every_s=0)
torch.save(trained.generator.state_dict(), out)
"""


def test_killed_and_called_again_it_ends_with_the_same_weights(cache, tmp_path, checkpoint, capsys):
    unbroken = train(WGAN_ROW, cache, tmp_path / "unbroken.pt")
    (tmp_path / "row.json").write_text(WGAN_ROW.model_dump_json())
    out, threads = tmp_path / "weights.pt", str(torch.get_num_threads())
    command = [sys.executable, "-c", SCRIPT, tmp_path / "row.json", cache.folder, checkpoint, out, threads]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    give_up = time.monotonic() + 120
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < give_up:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    with contextlib.suppress(KeyboardInterrupt), replacing(checkpoint) as temporary:
        temporary.write_bytes(b"half")
        left = temporary.rename(temporary.with_suffix(".kept"))
        raise KeyboardInterrupt
    left.rename(temporary)  # as it may leave behind in the middle of writing the next one
    assert process.wait() == -signal.SIGKILL
    assert checkpoint.exists()
    assert not out.exists()

    resumed = train(WGAN_ROW, cache, checkpoint)
    assert "tiny: resumed after epoch" in capsys.readouterr().err
    assert resumed.curves == unbroken.curves
    assert same_weights(resumed.generator, unbroken.generator)
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


TWO_PHASES = Phase(train="generator", epochs=1, lr=1e-3), GAN
SPECTRAL = {"spectral_norm": True}
RESUMED = {
    **{f"after epoch {epoch}": (WGAN_ROW, epoch) for epoch in (1, 2, 3, 5)},
    **{
        name: (make_row(*TWO_PHASES, **options), 2)
        for name, options in {
            "batch norm": {"ema_decay": 0.9},
            "spectral norm": {"generator": SPECTRAL | {"attention": True}, "discriminator": SPECTRAL},
            "bins": {"generator": {"head": "classification"}, "loss": Loss(l1_weight=0.0, bins_weight=1.0)},
            "clipped": {"discriminator": {"architecture": "unet"}, "loss": Loss(adversarial="wgan")},
            "in RGB": {"generator": {"space": "rgb"}, "loss": Loss(space="rgb")},
            "double convolutions": {
                "generator": {"architecture": "double_conv_unet"},
                "discriminator": {"architecture": "dense"},
            },
            "bfloat16": {"precision": "bf16-mixed"},
            "frozen levels": {
                "generator": {"architecture": "timm_unet", "encoder": "mobilenetv3_small_050"},
                "discriminator": {"norm": "batch"},
            },
            "crops and degraded photos": {"crop_scale": 0.5, "degradation_probability": 0.5, "ema_decay": 0.99},
        }.items()
    },
}


@pytest.mark.parametrize("kind", RESUMED)
def test_resumed_it_ends_with_the_same_weights(cache, tmp_path, kind):
    class StopError(Exception):
        pass

    row, epochs = RESUMED[kind]

    def stop(record, speed, panel):
        if record["epoch"] == epochs:  # its checkpoint is written by then
            raise StopError

    unbroken = train(row, cache, tmp_path / "unbroken")
    with pytest.raises(StopError):
        train(row, cache, tmp_path / "broken", on_epoch=stop, checkpoint_every_s=0)
    seen = []
    resumed = train(row, cache, tmp_path / "broken", on_epoch=lambda record, speed, panel: seen.append(record["epoch"]))
    assert seen == list(range(epochs + 1, len(unbroken.curves) + 1))
    assert resumed.curves == unbroken.curves
    assert same_weights(resumed.generator, unbroken.generator)


def test_a_finished_training_is_not_trained_again(cache, checkpoint):
    first = train(make_row(), cache, checkpoint, checkpoint_every_s=0)
    again = train(make_row(), cache, checkpoint, on_epoch=lambda *_: pytest.fail("trained again"))
    assert same_weights(first.generator, again.generator)
    assert again.curves == first.curves


def test_a_checkpoint_that_does_not_fit_or_is_damaged_is_ignored(cache, tmp_path, checkpoint, capsys):
    want = train(make_row(), cache, tmp_path / "other")
    train(make_row(ema_decay=0.5), cache, checkpoint, checkpoint_every_s=0)
    assert same_weights(train(make_row(), cache, checkpoint, checkpoint_every_s=0).generator, want.generator)
    assert f"{checkpoint}: ignored, it is of other params, photos or code" in capsys.readouterr().err
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1000])
    assert same_weights(train(make_row(), cache, checkpoint).generator, want.generator)
    assert f"{checkpoint}: damaged, set aside as row.pt.damaged; training starts over" in capsys.readouterr().err


def test_checkpoints_are_not_written_more_often_than_asked_for(cache, checkpoint):
    train(make_row(), cache, checkpoint, checkpoint_every_s=3600)
    assert not checkpoint.exists()


# several processes

TWO_PROCESSES = """
import os, sys
from pathlib import Path
import torch
from torch import nn
from tintype import models
from tintype.config import load_row
from tintype.data.cache import LabCache
from tintype.training import fit

class Plain(nn.Module):  # nothing in it looks at other photos of the batch
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 2, 3, padding=1), nn.Tanh())

    def forward(self, lightness):
        return models.Prediction(self.layers(lightness), None)

torch.set_num_threads(1)
folder, cache = Path(sys.argv[1]), LabCache.open(Path(sys.argv[2]))
rank = os.environ.get("RANK", "alone")
for name in sys.argv[3:]:
    if name == "plain":
        models.GENERATORS["unet"] = lambda *_: Plain()
    told = []
    trained = fit(load_row(folder / f"{name}.json"), cache, checkpoint=folder / f"{name}-{rank}.ckpt", device="cpu",
                  checkpoint_every_s=0, on_epoch=lambda record, speed, panel: told.append(record))
    torch.save({"weights": trained.generator.state_dict(), "curves": trained.curves, "told": len(told),
                "is_rank_zero": trained.is_rank_zero}, folder / f"{name}-{rank}.pt")
"""


@pytest.mark.slow
def test_two_processes_train_one_generator(cache, tmp_path):
    rows = {
        "unet": WGAN_ROW,
        "plain": make_row(Phase(train="adversarial", epochs=2, lr=1e-3), norm="none", hflip_probability=0.5),
    }
    for name, row in rows.items():
        (tmp_path / f"{name}.json").write_text(row.model_dump_json())
    (tmp_path / "script.py").write_text(TWO_PROCESSES)
    rest = [tmp_path / "script.py", tmp_path, cache.folder]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    for command in ([*launcher, *rest, "unet", "plain"], [sys.executable, *rest, "plain"]):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr[-3000:]

    for name, row in rows.items():
        first, second = (torch.load(tmp_path / f"{name}-{rank}.pt") for rank in (0, 1))
        assert same_weights(first["weights"], second["weights"])
        assert first["curves"] == second["curves"]
        assert (first["is_rank_zero"], second["is_rank_zero"]) == (True, False)
        assert (first["told"], second["told"]) == (sum(phase.epochs for phase in row.training.phases), 0)
        assert (tmp_path / f"{name}-0.ckpt").exists()
        assert not (tmp_path / f"{name}-1.ckpt").exists()

    alone, together = torch.load(tmp_path / "plain-alone.pt"), torch.load(tmp_path / "plain-0.pt")
    for a, b in zip(alone["curves"], together["curves"], strict=True):
        assert {**b, "phase": 0} == pytest.approx({**a, "phase": 0}, rel=1e-4)
    for name, weight in alone["weights"].items():
        torch.testing.assert_close(together["weights"][name], weight, atol=2e-5, rtol=0)


def test_a_checkpoint_is_of_the_code_that_dvc_trains_again_for():
    package = CHECKOUT / "src/tintype"
    stage, loop = closure(CHECKOUT / "stages/train.py"), closure(package / "training/loop.py")
    of_the_stage = {"stages/_ending.py", "stages/_stage.py", "stages/train.py", "src/tintype/training/curves.py"}
    assert {str(file.relative_to(CHECKOUT)) for file in set(stage) - set(loop)} == of_the_stage
    assert set(loop) <= set(stage)


def test_a_training_may_start_small_and_with_crops(cache, checkpoint, monkeypatch):
    seen = []

    def spy(networks, batch, *args, **options):
        seen.append(batch.lightness.shape[-1])
        return step.train_step(networks, batch, *args, **options)

    monkeypatch.setattr(loop, "train_step", spy)
    small, large = GAN.model_copy(update={"epochs": 1, "image_size": SIZE // 2}), GAN.model_copy(update={"epochs": 1})
    trained = train(make_row(small, large, crop_scale=0.5), cache, checkpoint)
    assert seen == 4 * [SIZE // 2] + 4 * [SIZE]
    assert len(trained.curves) == 2


def test_the_generator_alone_sees_the_degraded_photos():
    """The discriminator and the losses have the photos as they are."""
    networks, fabric = started(make_row())
    batch = random_batch()._replace(seen=torch.rand(4, 1, SIZE, SIZE))
    given = {"generator": [], "discriminator": []}
    for name, inputs in given.items():
        getattr(networks, name).register_forward_pre_hook(lambda _, args, inputs=inputs: inputs.append(args[0]))
    train_step(networks, batch, criterion_of(Loss()), fabric)
    assert [x is batch.seen for x in given["generator"]] == [True]
    assert [x is batch.lightness for x in given["discriminator"]] == [
        True
    ] * 3  # of true, false, and false for the generator
