"""The training loop of a row: its phases, epoch by epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from tintype.config import Phase, Row
from tintype.data.batches import Batches
from tintype.data.cache import LabCache
from tintype.losses import Criterion, Terms
from tintype.training.checkpoints import Checkpoints, run_key, say
from tintype.training.schedule import generator_learns, learning_rate
from tintype.training.setup import check, make_criterion, make_fabric, make_networks, phases_of
from tintype.training.step import Networks, average, train_step
from tintype.training.validation import Validation

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Record = dict[str, float | str]
"""One epoch of the curves.

It has ``epoch`` (from 1, over all phases), ``phase``, ``lr`` (at its start), the mean of each loss term, ``val_mae``,
``val_ciede2000`` and ``val_colorfulness``. On a CPU the same training gives the same record, to the last bit.
"""

Panel: TypeAlias = np.ndarray | None
"""(H, W, 3) uint8, a picture of some validation photos, or None if there are none."""

Speed = dict[str, float]
"""Timing of an epoch: ``seconds``, and ``photos_per_s`` of its training alone, over all processes together."""


class Trained(NamedTuple):
    """The result of training."""

    generator: nn.Module
    """In eval mode. It is the averaged generator if ``training.ema_decay`` is set."""
    image_size: int
    """Side of the photos in its last phase, pixels. The generator should be used at this size."""
    curves: list[Record]
    is_rank_zero: bool
    """Whether this is the process that writes files, of those started by torchrun."""


def fit(
    row: Row,
    cache: LabCache,
    *,
    checkpoint: Path,
    features: Path | None = None,
    on_epoch: Callable[[Record, Speed, Callable[[], Panel]], None] = lambda record, speed, panel: None,
    device: str = "auto",
    checkpoint_every_s: float = 10.0,
) -> Trained:
    """Train the generator of a row. If interrupted and called again, training resumes from the last checkpoint.

    On a CPU the same arguments give the same weights, bit for bit, however often training was interrupted. Every random
    number is a function of the seed, the epoch and the process. Under torchrun, all processes train one generator.

    Args:
        row: what to train, and how.
        cache: the photos.
        checkpoint: file that is replaced at the ends of epochs. It is not deleted: delete it once the weights are safe.
        features: the folder of feature networks. Only a row with a perceptual loss reads it.
        on_epoch: called in the process of rank 0 after each epoch trained in this call. The last argument paints the
            epoch's panel, see `tintype.training.validation.Validation.panel`.
        device: ``auto``, ``cpu``, ``cuda`` or another accelerator of Lightning Fabric.
        checkpoint_every_s: minimum time between two checkpoints, seconds. 0 writes one per epoch.

    Raises:
        UserError: the row and the photos do not fit together.
        FloatingPointError: a loss, a validation value or a weight became infinite or not a number.
    """
    fabric = make_fabric(row, device)
    photos = cache.split("train")
    check(row, len(photos), len(cache.classes), fabric.world_size)
    networks = make_networks(row, cache.image_size, len(cache.classes), fabric)
    criterion = make_criterion(row, photos, features, fabric)
    plan = [(phase, epoch) for phase in phases_of(row) for epoch in range(phase.epochs)]
    batches = Batches(
        photos,
        row.training.batch_size,
        fabric.device,
        row.training.seed,
        hflip_probability=row.training.hflip_probability,
        crop_scale=row.training.crop_scale,
        degradation_probability=row.training.degradation_probability,
        rank=fabric.global_rank,
        world=fabric.world_size,
        memory_format=torch.channels_last,
    )
    image_size = plan[-1][0].image_size or cache.image_size
    validation = Validation(cache.split("validation"), criterion.space, fabric.device, image_size)
    store = Checkpoints(checkpoint, run_key(row, cache), checkpoint_every_s)
    curves: list[Record] = []

    # one process reads, so that all agree on the checkpoint
    if state := fabric.broadcast(store.load() if fabric.is_global_zero else None):
        curves = state["curves"]
        networks.start(plan[len(curves) - 1][0])
        networks.restore(state["networks"])
        if fabric.is_global_zero:
            say(f"{row.name}: resumed after epoch {len(curves)} of {len(plan)} ({checkpoint})")

    an_epoch = len(batches) * batches.batch_size
    bar = tqdm(
        desc=row.name,
        unit=" photos",
        total=an_epoch * len(plan),
        initial=an_epoch * len(curves),
        disable=None if fabric.is_global_zero else True,
    )
    for number, (phase, epoch) in enumerate(plan[len(curves) :], start=len(curves) + 1):
        start = time.perf_counter()
        torch.manual_seed(_epoch_seed(row.training.seed, number, fabric.global_rank))
        if epoch == 0:
            networks.start(phase)
        record: Record = {"epoch": number, "phase": phase.train, "lr": learning_rate(phase, epoch / phase.epochs)}
        of_phase = replace(criterion, loss=row.loss_in(phase))
        record |= _train_epoch(phase, epoch, networks, of_phase, batches, number, fabric, bar)
        trained = time.perf_counter()
        record |= validation.metrics(networks.inference_generator())
        _refuse_non_finite(record, networks.generator)
        curves.append(record)
        if fabric.is_global_zero:
            now, panel = time.perf_counter(), partial(validation.panel, networks.inference_generator())
            if store.due():  # before on_epoch: a failing tracking server must not lose the epoch
                store.save({"networks": networks.state(), "curves": curves})
            on_epoch(record, {"seconds": now - start, "photos_per_s": an_epoch / (trained - start)}, panel)
    bar.close()
    return Trained(networks.inference_generator().eval(), image_size, curves, fabric.is_global_zero)


def _train_epoch(
    phase: Phase,
    epoch: int,
    networks: Networks,
    criterion: Criterion,
    batches: Batches,
    number: int,
    fabric: Fabric,
    bar: tqdm[Any],
) -> dict[str, float]:
    """Train on every batch once. Return the mean of each term over the steps that had it.

    Args:
        phase: of the row.
        epoch: of the phase, from 0.
        networks: with optimizers for the phase.
        criterion: the phase's losses.
        batches: of all epochs.
        number: of the epoch, from 1 over all phases. It selects the shuffled order.
        fabric: of this process.
        bar: progress bar to update.
    """
    for network in networks.all():
        network.train()
    steps = len(batches)
    means = Means()
    shown = time.monotonic()
    for step, batch in enumerate(batches.epoch(number, phase.image_size), start=epoch * steps):
        networks.set_learning_rate(learning_rate(phase, step / (phase.epochs * steps)))
        photos = batch.in_space(criterion.space)
        means.add(train_step(networks, photos, criterion, fabric, generator_learns=generator_learns(phase, step)))
        bar.update(batches.batch_size)
        if (
            not bar.disable and time.monotonic() - shown > 1
        ):  # not at every step, because reading the means waits for the device
            bar.set_postfix({name: f"{value:.3g}" for name, value in means.read().items()})
            shown = time.monotonic()
    if fabric.world_size > 1:
        # batch norm's running means, too, because each process computed them over its own share of the photos
        buffers = [buffer for network in networks.all() for buffer in network.buffers()]
        average([*(buffer for buffer in buffers if buffer.is_floating_point()), *means.sums.values()], fabric)
    return means.read()


class Means:
    """Running means of named terms. They stay on their device until they are read."""

    def __init__(self) -> None:
        self.sums: Terms = {}
        self.counts: dict[str, int] = {}

    def add(self, terms: Terms) -> None:
        """Add one step. A step need not have every term."""
        for name, term in terms.items():
            self.sums[name] = self.sums[name] + term if name in self.sums else term.clone()
            self.counts[name] = self.counts.get(name, 0) + 1

    def read(self) -> dict[str, float]:
        """Return the means so far, in one transfer from the device."""
        if not self.sums:
            return {}
        sums = torch.stack(list(self.sums.values())).tolist()
        return {name: total / self.counts[name] for name, total in zip(self.sums, sums, strict=True)}


def _epoch_seed(seed: int, epoch: int, rank: int) -> int:
    """Return the seed of dropout and of the penalty's random points.

    It depends only on these three arguments, so an epoch does not depend on earlier ones.
    """
    return int(np.random.SeedSequence([seed, epoch, rank]).generate_state(1, np.uint64)[0])


def _refuse_non_finite(record: Record, generator: nn.Module) -> None:
    """Raise `FloatingPointError` for values that are not finite, before they get into a checkpoint or a result."""
    metrics = {name: value for name, value in record.items() if isinstance(value, float)}
    bad = [f"{name} is {value}" for name, value in metrics.items() if not math.isfinite(value)]
    if not bad and not all(weight.isfinite().all() for weight in generator.parameters()):
        bad = ["a weight of the generator is not finite"]
    if bad:
        raise FloatingPointError(
            f"training diverged in epoch {record['epoch']} (phase {record['phase']}, lr {record['lr']:g}): "
            f"{', '.join(bad)}; a lower lr or smaller loss weights may help"
        )
