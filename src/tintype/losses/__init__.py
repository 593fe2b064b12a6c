"""Losses of the networks: named dicts of weighted scalars. Their sum is the loss.

A term with weight 0 is left out and costs nothing. Logits may come from autocast. Terms are float32.
"""

from tintype.losses.adversarial import (
    ADVERSARIAL,
    Terms,
    clip_weights,
    discriminator_success,
    discriminator_terms,
    gradient_penalty,
    penalty_terms,
)
from tintype.losses.reconstruction import Criterion, bin_entropy, class_entropy, generator_terms

__all__ = [
    "ADVERSARIAL",
    "Criterion",
    "Terms",
    "bin_entropy",
    "class_entropy",
    "clip_weights",
    "discriminator_success",
    "discriminator_terms",
    "generator_terms",
    "gradient_penalty",
    "penalty_terms",
]
