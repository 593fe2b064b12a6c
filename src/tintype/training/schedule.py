"""Schedules of a phase, as pure functions of its progress."""

from __future__ import annotations

import math

from tintype.config import Phase


def learning_rate(phase: Phase, progress: float) -> float:
    """Return the learning rate at a point of the phase.

    Args:
        phase: its schedule is ``constant`` (always ``lr``) or ``cosine`` (half a cosine wave from ``lr`` to
            ``lr_final``; arXiv:1608.03983, equation 5, without restarts).
        progress: steps done / steps of the phase, in [0, 1].
    """
    if phase.schedule == "constant":
        return phase.lr
    return phase.lr_final + (phase.lr - phase.lr_final) * (1 + math.cos(math.pi * progress)) / 2


def generator_learns(phase: Phase, step: int) -> bool:
    """Return whether the generator learns in this step of the phase. Otherwise only the discriminator does.

    Steps count from 0 in the phase. An epoch is one pass over the photos. With n discriminator steps, the generator
    learns from every n-th batch.
    """
    if phase.train == "adversarial":
        return (step + 1) % phase.discriminator_steps == 0
    return phase.train == "generator"
