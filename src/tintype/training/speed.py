"""Training time on this machine, measured on synthetic photos."""

from __future__ import annotations

import time
from dataclasses import replace

import torch

from tintype.color.bins import BINS
from tintype.color.spaces import SPACES
from tintype.config import Row
from tintype.data.batches import Batch
from tintype.losses import Criterion
from tintype.training.schedule import generator_learns
from tintype.training.setup import make_fabric, make_networks, phases_of
from tintype.training.step import train_step


def seconds_a_photo(row: Row, image_size: int, classes: int, steps: int, device: str = "auto") -> list[float]:
    """Return the seconds per photo in each phase of `row`. Reading photos and validation are not included.

    Args:
        row: what would be trained.
        image_size: side of the photos, pixels.
        classes: number of classes of the photos.
        steps: steps to time in each phase, after an untimed warm-up. They are rounded up to whole rounds of
            discriminator and generator steps.
        device: as for `tintype.training.fit`.
    """
    fabric = make_fabric(row, device)
    networks = make_networks(row, image_size, classes, fabric)
    # The network of a perceptual loss is not there yet and is left out. Rows with one take longer than measured here.
    bin_weights = torch.ones(BINS, device=fabric.device)
    criterion = Criterion(row.loss, SPACES[row.generator.space], bin_weights=bin_weights)
    size = row.training.batch_size
    for network in networks.all():
        network.train()

    seconds = []
    for phase in phases_of(row):
        networks.start(phase)
        loss = row.loss_in(phase).model_copy(update={"perceptual_weight": 0.0})
        of_phase = replace(criterion, loss=loss)
        batch = _noise(size, phase.image_size or image_size, fabric.device).in_space(criterion.space)
        turns = phase.discriminator_steps if phase.train == "adversarial" else 1
        timed = -(-steps // turns) * turns  # whole rounds of discriminator and generator
        start = 0.0
        for step in range(-turns, timed):
            if step == 0:
                start = _now(fabric.device)
            train_step(networks, batch, of_phase, fabric, generator_learns=generator_learns(phase, step))
        seconds.append((_now(fabric.device) - start) / (timed * size))
    return seconds


def _noise(size: int, side: int, device: torch.device) -> Batch:
    planes = (torch.rand(size, 3, side, side, device=device) * 2 - 1).contiguous(memory_format=torch.channels_last)
    lightness, chroma = planes[:, :1], planes[:, 1:]
    return Batch(lightness, chroma, torch.zeros(size, dtype=torch.int64, device=device), lightness)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
