"""Checks for params that are valid on their own but conflict with each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tintype.config.row import Discriminator, Generator, Loss, Phase, Training

PRETRAINED = {"resnet18_unet": ("none", "imagenet"), "timm_unet": ("none", "imagenet", "everyday")}
"""Allowed values of ``generator.weights`` by architecture. All other architectures allow only none."""


def conflicts(
    generator: Generator, discriminator: Discriminator, loss: Loss, training: Training, phase: Phase
) -> Iterator[str]:
    """Yield the reasons why a row cannot be trained.

    Each is one line with the key, its value, the reason, and what is allowed.

    Args:
        generator: of the row.
        discriminator: of the row.
        loss: the phase's, see `tintype.config.row.Row.loss_in`.
        training: of the row.
        phase: one of the row's.
    """
    yield from _of_generator(generator, training)
    yield from _of_loss(generator, discriminator, loss, phase)
    named = f"generator.architecture = {generator.architecture!r}"
    for key, default in (("frozen_levels", 0), ("encoder_lr_factor", 1.0)):
        if getattr(phase, key) != default and generator.architecture != "timm_unet":
            yield (
                f"training.phases.{key} = {getattr(phase, key)} with {named}: only 'timm_unet' has an encoder of its "
                f"own; allowed: {default}"
            )


def _of_generator(generator: Generator, training: Training) -> Iterator[str]:
    architecture, space, head = generator.architecture, generator.space, generator.head
    named = f"generator.architecture = {architecture!r}"
    if generator.chroma_gain != 1 and (architecture, space, head) != ("timm_unet", "lab", "regression"):
        yield (
            f"generator.chroma_gain = {generator.chroma_gain} with {named}, space = {space!r}, head = {head!r}: "
            "allowed: 1.0, or 'timm_unet' with 'regression' in 'lab'"
        )
    if generator.attention and architecture != "unet":
        yield f"generator.attention = true with {named}: only 'unet' has it; allowed: false"
    if generator.attention and generator.depth < 4:
        yield (
            f"generator.attention = true with generator.depth = {generator.depth}: it works at an eighth of the "
            "photo's size; allowed: a depth from 4"
        )
    if architecture == "unet" and generator.depth < 3:
        yield f"generator.depth = {generator.depth} with {named}: allowed: from 3"
    if generator.weights not in (allowed := PRETRAINED.get(architecture, ("none",))):
        yield f"generator.weights = {generator.weights!r} with {named}: allowed: {', '.join(map(repr, allowed))}"
    if generator.weights != "none" and generator.spectral_norm:
        yield (
            f"generator.weights = {generator.weights!r} with generator.spectral_norm = true: normalized weights are "
            "not the published ones; allowed: false"
        )
    if head == "classification" and architecture != "timm_unet" and (architecture, space) != ("unet", "lab"):
        yield (
            f"generator.head = 'classification' with {named}, space = {space!r}: allowed: 'unet' in 'lab', 'timm_unet' "
            "in any"
        )
    if generator.spectral_norm and training.ema_decay > 0:
        yield (
            f"training.ema_decay = {training.ema_decay} with generator.spectral_norm = true: the mean of normalized "
            "weights is not normalized; allowed: 0"
        )


def _of_loss(generator: Generator, discriminator: Discriminator, loss: Loss, phase: Phase) -> Iterator[str]:
    if loss.adversarial == "wgan_gp" and discriminator.norm == "batch":
        yield (
            "discriminator.norm = 'batch' with loss.adversarial = 'wgan_gp': the gradient penalty is per photo, batch "
            "norm mixes photos; allowed: 'none'"
        )
    if loss.adversarial == "wgan" and discriminator.spectral_norm:
        yield (
            "discriminator.spectral_norm = true with loss.adversarial = 'wgan': weights that are normalized are not "
            "held by clipping; allowed: false"
        )
    if loss.class_weight > 0 and generator.architecture != "unet":
        yield (
            f"loss.class_weight = {loss.class_weight} with generator.architecture = {generator.architecture!r}: only "
            "'unet' has a class branch; allowed: 0"
        )
    if (generator.head == "classification") != (loss.bins_weight > 0):
        yield (
            f"loss.bins_weight = {loss.bins_weight} with generator.head = {generator.head!r}: the two belong together; "
            "allowed: a weight over 0 with 'classification', 0 with 'regression'"
        )
    if loss.adversarial_weight == 0 and phase.train == "discriminator":
        yield (
            "loss.adversarial_weight = 0.0 with a phase that trains the discriminator: it would influence nothing; "
            "allowed: a weight over 0, or no such phase"
        )
