"""What a phase does when: pure functions of its progress."""

from __future__ import annotations

import math

from tintype.config import Phase


def learning_rate(phase: Phase, progress: float) -> float:
    """The rate after a share of the phase's steps.

    Args:
        phase: ``constant``: always ``lr``; ``cosine``: half a cosine wave from ``lr`` to ``lr_final``
            (arXiv:1608.03983, equation 5, without restarts).
        progress: steps done / steps of the phase, in [0, 1].
    """
    if phase.schedule == "constant":
        return phase.lr
    return phase.lr_final + (phase.lr - phase.lr_final) * (1 + math.cos(math.pi * progress)) / 2


def generator_learns(phase: Phase, step: int) -> bool:
    """Whether the generator learns in a step of the phase, counted from 0; else the discriminator alone does.

    An epoch is one pass over the photos: with n discriminator steps the generator learns from every n-th batch.
    """
    if phase.train == "adversarial":
        return (step + 1) % phase.discriminator_steps == 0
    return phase.train == "generator"
