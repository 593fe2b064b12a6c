"""One training step: takes a batch, updates the networks, and returns the terms of their losses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from tintype.config import Phase
from tintype.data.batches import Batch
from tintype.losses import (
    Criterion,
    Terms,
    clip_weights,
    discriminator_success,
    discriminator_terms,
    generator_terms,
    penalty_terms,
)
from tintype.models import Prediction
from tintype.models.timm_unet import TimmUNet
from tintype.training.moving_average import Averaged

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass
class Networks:
    """The networks and, within a phase, the optimizers of those that learn in it."""

    generator: nn.Module
    discriminator: nn.Module | None = None
    averaged: Averaged | None = None
    """The generator's moving average, if one is kept."""
    generator_optimizer: Optimizer | None = None
    discriminator_optimizer: Optimizer | None = None

    def start(self, phase: Phase) -> None:
        """Create new optimizers for the networks that learn in `phase`."""

        def adam(groups: list[dict[str, Any]]) -> Optimizer:
            # On a CPU, fused Adam assumes that a gradient has its weight's memory layout, whatever its strides (seen on
            # torch 2.15). autograd's gradients do. Gradients changed by hand must be copied into, as `average` does.
            return Adam(groups, lr=phase.lr, betas=phase.betas, fused=True)

        self.generator_optimizer = self.discriminator_optimizer = None
        if phase.train != "discriminator":
            self.generator_optimizer = adam(_with_encoder(self.generator, phase))
        if phase.train != "generator":
            assert self.discriminator is not None, f"no discriminator for a phase that trains the {phase.train}"
            self.discriminator_optimizer = adam(
                _decayed(
                    (p for p in self.discriminator.parameters() if p.requires_grad),
                    self.discriminator,
                    phase.weight_decay,
                )
            )

    def all(self) -> list[nn.Module]:
        """Return every network that exists."""
        averaged = self.averaged.network if self.averaged is not None else None
        return [network for network in (self.generator, self.discriminator, averaged) if network is not None]

    def inference_generator(self) -> nn.Module:
        """Return the generator that is kept: the averaged one if there is one."""
        return self.generator if self.averaged is None else self.averaged.network

    def set_learning_rate(self, rate: float) -> None:
        """Set the learning rate from the next step on."""
        for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
            for group in optimizer.param_groups if optimizer else ():
                group["lr"] = rate * group.get("lr_factor", 1.0)

    def state(self) -> dict[str, Any]:
        """Return everything that a checkpoint must contain."""
        members = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: member.state_dict() for name, member in members.items() if hasattr(member, "state_dict")}

    def restore(self, state: dict[str, Any]) -> None:
        """Load what `state` returned. The optimizers must have been started."""
        for name, values in state.items():
            getattr(self, name).load_state_dict(values)


def _with_encoder(generator: nn.Module, phase: Phase) -> list[dict[str, Any]]:
    """Return the generator's parameters in groups. The encoder's parameters that learn have their own learning rate."""
    if not isinstance(generator, TimmUNet):
        return _decayed(generator.parameters(), generator, phase.weight_decay)
    encoder = generator.encoder.requires_grad_(True)
    by_level = encoder.parameters_by_level()
    for level in by_level[: phase.frozen_levels]:
        for parameter in level:
            parameter.requires_grad_(False)  # skips its half of the backward pass
    learning = [p for level in by_level[phase.frozen_levels :] for p in level]
    of_encoder = set(encoder.parameters())
    others = (p for p in generator.parameters() if p not in of_encoder)
    return [
        *_decayed(others, generator, phase.weight_decay),
        *(
            {**group, "lr_factor": phase.encoder_lr_factor}
            for group in _decayed(learning, generator, phase.weight_decay)
            if group["params"]
        ),
    ]


def _decayed(parameters: Iterable[nn.Parameter], network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return the parameters in groups for an optimizer. Only the convolutions' weights have an L2 penalty."""
    parameters = list(parameters)
    if not weight_decay:
        return [{"params": parameters}]
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    kernels = {p for m in convolutions for name, p in m.named_parameters() if not name.endswith("bias")}
    return [
        {"params": [p for p in parameters if p in kernels], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p not in kernels]},
    ]


def train_step(
    networks: Networks, batch: Batch, criterion: Criterion, fabric: Fabric, *, generator_learns: bool = True
) -> Terms:
    """Update the discriminator if it has an optimizer, then the generator. One generator forward pass serves both.

    Args:
        networks: in a phase that was started.
        batch: photos in the criterion's space, on the networks' device.
        criterion: the phase's losses.
        fabric: provides autocast and averages gradients over processes.
        generator_learns: False for a step of the discriminator alone.

    Returns:
        Weighted terms by name, and the discriminator's success, detached, on the device.
    """
    terms: Terms = {}
    with fabric.autocast(), torch.set_grad_enabled(generator_learns):
        fake = networks.generator(batch.seen)
    if networks.discriminator_optimizer is not None:
        terms |= discriminator_step(networks, batch, fake.chroma.detach(), criterion, fabric)
    if generator_learns:
        terms |= generator_step(networks, batch, fake, criterion, fabric)
    return {name: term.detach() for name, term in terms.items()}


def discriminator_step(networks: Networks, batch: Batch, fake: Tensor, criterion: Criterion, fabric: Fabric) -> Terms:
    """Train the discriminator to tell the generator's chroma from the photos'."""
    assert networks.discriminator is not None
    assert networks.discriminator_optimizer is not None
    with fabric.autocast():
        real_logits = networks.discriminator(batch.lightness, batch.chroma)
        fake_logits = networks.discriminator(batch.lightness, fake)
    loss = criterion.loss
    terms = discriminator_terms(loss, real_logits, fake_logits)
    terms |= penalty_terms(loss, networks.discriminator, batch.lightness, batch.chroma, fake)
    descend(networks.discriminator_optimizer, terms, fabric)
    clip_weights(loss, networks.discriminator)
    return terms | discriminator_success(loss, real_logits, fake_logits)


def generator_step(networks: Networks, batch: Batch, fake: Prediction, criterion: Criterion, fabric: Fabric) -> Terms:
    """Train the generator to approach the photos and, if a discriminator learns too, to convince it."""
    assert networks.generator_optimizer is not None
    discriminator = networks.discriminator if networks.discriminator_optimizer is not None else None
    fake_logits = None
    learning = [p for p in discriminator.parameters() if p.requires_grad] if discriminator is not None else []
    if discriminator is not None and criterion.loss.adversarial_weight:
        for parameter in learning:
            parameter.requires_grad_(False)  # skips the half of its backward pass for its own weights
        with fabric.autocast():
            fake_logits = discriminator(batch.lightness, fake.chroma)
    terms = generator_terms(criterion, batch, fake, fake_logits)
    descend(networks.generator_optimizer, terms, fabric)
    for parameter in learning:
        parameter.requires_grad_(True)
    if networks.averaged is not None:
        networks.averaged.move_to(networks.generator)
    return terms


def descend(optimizer: Optimizer, terms: Terms, fabric: Fabric) -> None:
    """Update the optimizer's network once to reduce the sum of `terms`."""
    optimizer.zero_grad()
    torch.stack(list(terms.values())).sum().backward()
    average_gradients(optimizer, fabric)
    optimizer.step()


def average_gradients(optimizer: Optimizer, fabric: Fabric) -> None:
    """Average the gradients over all processes, so that they are those of the whole batch.

    This is one flat all-reduce per update. DistributedDataParallel is not used because it needs one forward pass per
    backward pass. A discriminator has two or three, the generator's loss goes through a network whose gradients must
    not be reduced, and the gradient penalty differentiates twice.
    """
    if fabric.world_size == 1:
        return
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    average(gradients, fabric)


def average(tensors: list[Tensor], fabric: Fabric) -> None:
    """Replace each tensor by its mean over all processes, in place."""
    flat: Any = fabric.all_reduce(torch.cat([tensor.flatten() for tensor in tensors]), reduce_op="mean")
    for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(mean.view(tensor.shape))
