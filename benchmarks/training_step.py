"""A training step against a plain loop of the same networks, written the ordinary way; timed in turns, in one process.

Plain is: contiguous tensors, Adam with its defaults, float32, a generator forward for the discriminator and another for
the generator, the losses read with ``.item()`` at every step. Both work on the same photos, already on the device.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from tintype.color.spaces import SPACES
from tintype.config import Row
from tintype.data.batches import Batch
from tintype.losses import Criterion
from tintype.models import build_discriminator, build_generator
from tintype.training.setup import make_fabric, make_networks
from tintype.training.step import train_step

CLASSES = 8
WGAN_GP = {"adversarial": "wgan_gp", "adversarial_weight": 0.1, "l1_weight": 0.0, "l2_weight": 1.0}
KINDS: dict[str, dict[str, Any]] = {
    "generator alone, L1": {"train": "generator"},
    "GAN + L1": {},
    "GAN + L1 + class": {"loss": {"class_weight": 0.003}},
    "WGAN-GP + L2": {"loss": WGAN_GP, "norm": "none"},
}
Step = Callable[[], object]


def run(repeats: int = 7) -> dict[str, Any]:
    """How many times as fast as the plain loop, and photos per second of each kind of step."""
    ratios, photos_per_s = {}, {}
    small: dict[str, Any] = {"image_size": 64, "batch_size": 16, "device": "cpu"}
    goal = "cpu, 64x64, 32 filters, batch 16"
    ratios[goal] = _ratio(_tintype(filters=32, **small), _plain(filters=32, **small), repeats, steps=3)
    for filters in (16, 24, 32):
        for kind, what in KINDS.items():
            step = _tintype(filters=filters, **small, **what)
            photos_per_s[f"cpu, 64x64, {filters} filters, {kind}"] = round(16 / _seconds(step, steps=3), 1)
    for batch_size in (8, 32) if torch.cuda.is_available() else ():
        full: dict[str, Any] = {"image_size": 256, "batch_size": batch_size, "filters": 64, "device": "cuda"}
        plain = _plain(**full)
        for precision in ("32-true", "bf16-mixed"):
            for compiled in (False, True):
                name = f"cuda, 256x256, 64 filters, batch {batch_size}, {precision}{', compiled' * compiled}"
                step = _tintype(**full, precision=precision, compiled=compiled)
                ratios[name] = _ratio(step, plain, repeats, steps=10)
                photos_per_s[name] = round(batch_size / _seconds(step, steps=10), 1)
    return {
        "name": "training_step",
        "ratios": ratios,
        "photos_per_s": photos_per_s,
        "threads": torch.get_num_threads(),
        "goal": {goal: 1.15},
    }


def _ratio(ours: Step, theirs: Step, repeats: int, steps: int) -> float:
    """The median over pairs timed one right after the other."""
    _seconds(ours, steps), _seconds(theirs, steps)  # warm up: compile, choose algorithms, allocate
    pairs = [(_seconds(ours, steps), _seconds(theirs, steps)) for _ in range(repeats)]
    return round(statistics.median(plain / tintype for tintype, plain in pairs), 2)


def _seconds(step: Step, steps: int) -> float:
    """Of one step, after one that is not timed."""
    step()
    _wait()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    _wait()
    return (time.perf_counter() - start) / steps


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _row(
    image_size: int,
    batch_size: int,
    filters: int,
    train: str = "adversarial",
    norm: str = "batch",
    precision: str = "auto",
    compiled: bool = False,
    loss: dict[str, Any] | None = None,
) -> Row:
    phases = ({"train": train, "epochs": 1, "betas": (0.5, 0.999)},)
    return Row.model_validate(
        {
            "name": "benchmark",
            "generator": {"filters": filters, "depth": min(8, image_size.bit_length() - 1)},
            "discriminator": {"filters": filters, "norm": norm},
            "loss": loss or {},
            "training": {"batch_size": batch_size, "precision": precision, "compile": compiled, "phases": phases},
        }
    )


def _photos(image_size: int, batch_size: int, device: str, memory_format: torch.memory_format) -> Batch:
    torch.manual_seed(1)
    lab = torch.rand(batch_size, 3, image_size, image_size, device=device) * 2 - 1
    lightness, chroma = (planes.contiguous(memory_format=memory_format) for planes in (lab[:, :1], lab[:, 1:]))
    return Batch(lightness, chroma, torch.arange(batch_size, device=device) % CLASSES, lightness)


def _tintype(image_size: int, batch_size: int, filters: int, device: str, **what: Any) -> Step:
    row = _row(image_size, batch_size, filters, **what)
    fabric = make_fabric(row, device)
    networks = make_networks(row, image_size, CLASSES, fabric)
    networks.start(row.training.phases[0])
    batch = _photos(image_size, batch_size, device, torch.channels_last)
    criterion = Criterion(row.loss, SPACES[row.generator.space])
    return lambda: train_step(networks, batch, criterion, fabric)


def _plain(image_size: int, batch_size: int, filters: int, device: str) -> Step:
    row = _row(image_size, batch_size, filters)
    generator = build_generator(row.generator, 0, image_size).to(device)
    discriminator = build_discriminator(row.discriminator, row.generator.space, image_size).to(device)
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    gray, color, *_ = _photos(image_size, batch_size, device, torch.contiguous_format)
    history: list[tuple[float, ...]] = []

    def step() -> None:
        with torch.no_grad():
            fake = generator(gray).chroma
        real_logits, fake_logits = discriminator(gray, color), discriminator(gray, fake)
        loss_real = F.binary_cross_entropy_with_logits(real_logits, torch.full_like(real_logits, 0.9))
        loss_fake = F.binary_cross_entropy_with_logits(fake_logits, torch.zeros_like(fake_logits))
        optimizer_d.zero_grad()
        (loss_real + loss_fake).backward()
        optimizer_d.step()

        fake = generator(gray).chroma
        fake_logits = discriminator(gray, fake)
        loss_gan = F.binary_cross_entropy_with_logits(fake_logits, torch.ones_like(fake_logits))
        loss_l1 = 100 * F.l1_loss(fake, color)
        optimizer_g.zero_grad()
        (loss_gan + loss_l1).backward()
        optimizer_g.step()
        history.append((loss_real.item(), loss_fake.item(), loss_gan.item(), loss_l1.item()))

    return step
