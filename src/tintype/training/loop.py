"""The training loop of a row: its phases, epoch by epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
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
from tintype.losses import Criterion
from tintype.training.checkpoints import Checkpoints, run_key, say
from tintype.training.divergence import refuse_non_finite
from tintype.training.progress import Progress, Record, seed_epoch
from tintype.training.schedule import generator_learns, learning_rate
from tintype.training.setup import check, make_criterion, make_fabric, make_networks, phases_of
from tintype.training.step import Networks, average, train_step
from tintype.training.validation import Validation

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Panel: TypeAlias = np.ndarray | None
"""(H, W, 3) uint8, a picture of some validation photos, or None if there are none."""

Speed = dict[str, float]
"""Timing of an epoch: ``seconds``, and ``photos_per_s`` of its training alone, over all processes together."""


class Stopped(Exception):  # noqa: N818 - no error: it was asked for
    """Training stopped early because it was asked to. The message says what was kept."""


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
    stop: Callable[[], bool] = lambda: False,
) -> Trained:
    """Train the generator of a row. If interrupted and called again, training resumes from the last checkpoint.

    On a CPU the same arguments give the same weights, bit for bit, however often training was interrupted. Every random
    number is a function of the seed, the epoch and the process. Under torchrun, all processes train one generator.

    Args:
        row: what to train, and how.
        cache: the photos.
        checkpoint: file that is replaced at the ends of epochs, and if training is stopped. It is not deleted: delete
            it once the weights are safe.
        features: the folder of feature networks. Only a row with a perceptual loss reads it.
        on_epoch: called in the process of rank 0 after each epoch trained in this call. The last argument paints the
            epoch's panel, see `tintype.training.validation.Validation.panel`.
        device: ``auto``, ``cpu``, ``cuda`` or another accelerator of Lightning Fabric.
        checkpoint_every_s: minimum time between two checkpoints, seconds. 0 writes one per epoch.
        stop: asked after each step and each epoch whether to stop. A training of one process then writes a checkpoint
            that has all steps; one of several processes keeps the last checkpoint.

    Raises:
        Stopped: `stop` returned True.
        UserError: the row and the photos do not fit together.
        FloatingPointError: a loss, a validation value, a weight or an optimizer's moment became infinite or not a
            number. On a CPU, the message names the first step with such a loss.
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
    progress = Progress()

    # one process reads, so that all agree on the checkpoint
    if state := fabric.broadcast(store.load() if fabric.is_global_zero else None):
        progress.restore(state, fabric.device)
        networks.start(plan[len(progress.curves) - (not progress.step)][0])
        networks.restore(state["networks"])
        if fabric.is_global_zero:
            say(f"{row.name}: resumed {progress} of {len(plan)} ({checkpoint})")

    def save() -> None:
        store.save({"networks": networks.state(), **progress.state(fabric.device)}, str(progress))

    def stop_if_asked(where: str) -> None:
        if stop():
            if fabric.world_size == 1:
                refuse_non_finite(progress.means.read(), networks, where, store.last_good)
                save()
            line = f"{row.name}: stopped {progress} of {len(plan)}; {store.last_good}"
            if fabric.is_global_zero:
                say(line)
            raise Stopped(line)

    an_epoch = len(batches) * batches.batch_size
    bar = tqdm(
        desc=row.name,
        unit=" photos",
        total=an_epoch * len(plan),
        initial=an_epoch * len(progress.curves) + batches.batch_size * progress.step,
        disable=None if fabric.is_global_zero else True,
    )
    for number, (phase, epoch) in enumerate(plan[len(progress.curves) :], start=len(progress.curves) + 1):
        start, of_epoch = time.perf_counter(), an_epoch - batches.batch_size * progress.step
        seed = _epoch_seed(row.training.seed, number, fabric.global_rank)
        seed_epoch(seed, fabric.device, state if progress.step else None)
        if epoch == 0 and not progress.step:
            networks.start(phase)
        record: Record = {"epoch": number, "phase": phase.train, "lr": learning_rate(phase, epoch / phase.epochs)}
        where = f"epoch {number} (phase {phase.train}, lr {record['lr']:g})"
        of_phase = replace(criterion, loss=row.loss_in(phase))
        for values in _train_epoch(phase, epoch, networks, of_phase, batches, progress, fabric, bar):
            refuse_non_finite(values, None, f"step {progress.step} of {where}", store.last_good)
            stop_if_asked(where)
        record |= progress.means.read()
        trained = time.perf_counter()
        record |= validation.metrics(networks.inference_generator())
        refuse_non_finite(record, networks, where, store.last_good)
        progress.end_epoch(record)
        if fabric.is_global_zero:
            now, panel = time.perf_counter(), partial(validation.panel, networks.inference_generator())
            if store.due() or stop():  # before on_epoch: a failing tracking server must not lose the epoch
                save()
            on_epoch(record, {"seconds": now - start, "photos_per_s": of_epoch / (trained - start)}, panel)
    bar.close()
    return Trained(networks.inference_generator().eval(), image_size, progress.curves, fabric.is_global_zero)


def _train_epoch(
    phase: Phase,
    epoch: int,
    networks: Networks,
    criterion: Criterion,
    batches: Batches,
    progress: Progress,
    fabric: Fabric,
    bar: tqdm[Any],
) -> Iterator[dict[str, float]]:
    """Train on every batch of the epoch that is left. After each step, yield the means of the terms so far.

    A GPU's are read once a second, because reading waits for it. At its other steps, {} is yielded.

    Args:
        phase: of the row.
        epoch: of the phase, from 0.
        networks: with optimizers for the phase.
        criterion: the phase's losses.
        batches: of all epochs.
        progress: of the training. The number of its epoch selects the shuffled order.
        fabric: of this process.
        bar: progress bar to update.
    """
    for network in networks.all():
        network.train()
    steps, means = len(batches), progress.means
    left = batches.epoch(len(progress.curves) + 1, phase.image_size, progress.step)
    shown = time.monotonic()
    for step, batch in enumerate(left, start=epoch * steps + progress.step):
        networks.set_learning_rate(learning_rate(phase, step / (phase.epochs * steps)))
        photos = batch.in_space(criterion.space)
        means.add(train_step(networks, photos, criterion, fabric, generator_learns=generator_learns(phase, step)))
        progress.step += 1
        bar.update(batches.batch_size)
        is_time = time.monotonic() - shown > 1
        values = means.read() if is_time or fabric.device.type == "cpu" else {}
        if is_time:
            shown = time.monotonic()
            if not bar.disable:
                bar.set_postfix({name: f"{value:.3g}" for name, value in values.items()})
        yield values
    if fabric.world_size > 1:
        # batch norm's running means, too, because each process computed them over its own share of the photos
        buffers = [buffer for network in networks.all() for buffer in network.buffers()]
        average([*(buffer for buffer in buffers if buffer.is_floating_point()), *means.sums.values()], fabric)


def _epoch_seed(seed: int, epoch: int, rank: int) -> int:
    """Return the seed of dropout and of the penalty's random points.

    It depends only on these three arguments, so an epoch does not depend on earlier ones.
    """
    return int(np.random.SeedSequence([seed, epoch, rank]).generate_state(1, np.uint64)[0])
