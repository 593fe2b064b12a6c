"""Preparation of a row's training: processes, networks, losses, and checks of the params."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from tintype.color.spaces import SPACES
from tintype.config import Loss, Phase, Row
from tintype.data.cache import LabSplit
from tintype.errors import UserError
from tintype.losses import Criterion
from tintype.losses.rebalancing import prior_of, rebalancing
from tintype.models import build_discriminator, build_generator
from tintype.training.moving_average import Averaged
from tintype.training.pretrained import start_from
from tintype.training.step import Networks

if TYPE_CHECKING:
    from lightning_fabric import Fabric


OF_DISCRIMINATOR = ("adversarial_weight", "gradient_penalty_weight")
"""Weights in `Loss` whose terms need a discriminator."""


def make_fabric(row: Row, device: str) -> Fabric:
    """Return the Fabric of this process, alone or one of many under torchrun. ``training.precision`` sets autocast.

    Args:
        row: what is trained.
        device: ``auto``, ``cpu``, ``cuda`` or another accelerator of Lightning Fabric.
    """
    from lightning_fabric import Fabric  # takes seconds to import

    processes = int(os.environ.get("WORLD_SIZE", "1"))
    on_this_node = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
    cuda = device in ("auto", "cuda") and torch.cuda.is_available()
    precision = row.training.precision
    if precision == "auto":
        # emulated bfloat16 (GPUs before Ampere, most CPUs) is far slower than float32
        precision = "bf16-mixed" if cuda and torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    fabric = Fabric(
        accelerator=device,
        strategy="ddp" if processes > 1 else "auto",
        devices=on_this_node,
        num_nodes=processes // on_this_node,
        precision=precision,
    )
    fabric.launch()
    if cuda:
        # cuDNN's fastest algorithms add in any order, and which one is fastest varies. Other kernels still may do so.
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
    return fabric


def make_networks(row: Row, image_size: int, classes: int, fabric: Fabric) -> Networks:
    """Return the networks of a row with fresh weights, on the device. They are the same in every process.

    Args:
        row: what is trained.
        image_size: side of the photos, pixels.
        classes: number of classes of the photos. The generator gets a class branch if ``loss.class_weight`` is over 0.
        fabric: as returned by `make_fabric`.

    Raises:
        UserError: the networks and the photos' size do not fit together.
    """
    torch.manual_seed(row.training.seed)
    generator = build_generator(row.generator, classes if row.loss.class_weight else 0, image_size)
    if fabric.is_global_zero:  # the others get the weights by broadcast
        start_from(generator, row.generator)
    contested = any(phase.train != "generator" for phase in phases_of(row))
    discriminator = build_discriminator(row.discriminator, row.generator.space, image_size) if contested else None
    for network in filter(None, (generator, discriminator)):
        network.load_state_dict(fabric.broadcast(network.state_dict()))
        # chosen by measurement on a CPU at 64x64 (benchmarks/training_step.py), and preferred by tensor cores
        network.to(fabric.device).to(memory_format=torch.channels_last)
    averaged = Averaged(generator, row.training.ema_decay) if row.training.ema_decay else None
    if row.training.compile:
        generator.compile()  # not the discriminator, because torch.compile cannot differentiate twice
    return Networks(generator, discriminator, averaged)


def make_criterion(row: Row, photos: LabSplit, features: Path | None, fabric: Fabric) -> Criterion:
    """Return the losses of a row with everything that its phases need for them, on the device.

    Args:
        row: what is trained.
        photos: of the training split, for the rarity of each color.
        features: the folder of feature networks. A row with a perceptual loss needs it.
        fabric: as returned by `make_fabric`.
    """
    loss, space = row.loss, SPACES[row.generator.space]
    perceptual_network = None
    if row.needs_perceptual:
        from tintype.features.perceptual import load_perceptual

        assert features is not None, "a perceptual loss needs the folder of feature networks"
        perceptual_network = load_perceptual(features, fabric.device)
    rebalanced = any(of_phase.bins_weight and of_phase.rebalancing for of_phase in row.losses)
    weights = rebalancing(prior_of(photos)).to(fabric.device) if rebalanced else None
    return Criterion(loss, space, perceptual_network, weights)


def phases_of(row: Row) -> list[Phase]:
    """Return the phases as they are trained.

    An adversarial phase without an adversarial weight trains only the generator.
    """
    return [
        phase.model_copy(update={"train": "generator"})
        if phase.train == "adversarial" and not row.loss_in(phase).adversarial_weight
        else phase
        for phase in row.training.phases
    ]


def check(row: Row, photos: int, classes: int, processes: int) -> None:
    """Refuse what cannot be trained.

    Args:
        row: what is trained.
        photos: number of photos in the training split.
        classes: number of classes of the photos.
        processes: number of processes that train together.

    Raises:
        UserError: one line with the params, the reason, and what is allowed.
    """
    loss, batch_size = row.loss, row.training.batch_size
    if loss.class_weight and classes < 2:
        raise UserError(
            f"loss.class_weight = {loss.class_weight}: needs photos of at least 2 classes, these have {classes}; "
            "allowed: 0"
        )
    if batch_size % processes or batch_size < 2 * processes:
        raise UserError(
            f"training.batch_size = {batch_size} for {processes} processes: each takes the same number, at least 2; "
            f"allowed: multiples of {processes} from {2 * processes}"
        )
    if photos < 2 * processes:  # batch norm needs 2
        raise UserError(f"the training split has {photos} photos, at least {2 * processes} are needed")
    for phase in phases_of(row):
        of_phase = row.loss_in(phase)
        weights = [key for key in Loss.model_fields if key.endswith("_weight") and key not in OF_DISCRIMINATOR]
        if phase.train == "generator" and not any(getattr(of_phase, key) for key in weights):
            raise UserError(
                f"loss: {', '.join(weights[:-1])} and {weights[-1]} are all 0: a phase that trains the generator alone "
                "learns nothing; allowed: at least one over 0"
            )
