"""Adversarial losses of the discriminator and the generator. Every term is the mean over photos and patches.

Logits are (B, K, h, w). K is 1, or 4 for a projected discriminator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tintype.config import Loss

Terms = dict[str, Tensor]
"""Weighted scalars by name. Their sum is the loss."""


class Adversarial(NamedTuple):
    """The two sides of an adversarial loss."""

    discriminator: Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]
    """(logits of real, logits of fake, label of real) -> (term of real, term of fake)."""
    generator: Callable[[Tensor], Tensor]
    """Logits of fake -> term."""
    boundary: float | None
    """The logit between fake and real, or None if only differences of logits have a meaning."""
    penalized: bool = False
    """Whether the discriminator also has the gradient penalty."""
    clipped: bool = False
    """Whether the discriminator's weights are clipped."""


def bce_discriminator(real_logits: Tensor, fake_logits: Tensor, real_label: float) -> tuple[Tensor, Tensor]:
    """Return binary cross-entropy with one-sided label smoothing (arXiv:1606.03498, 3.4): `real_label` replaces 1."""
    real = F.binary_cross_entropy_with_logits(real_logits, torch.full_like(real_logits, real_label))
    return real, F.binary_cross_entropy_with_logits(fake_logits, torch.zeros_like(fake_logits))


def bce_generator(fake_logits: Tensor) -> Tensor:
    """Return the non-saturating loss -log D(G) (arXiv:1406.2661, section 3). Its target is 1 and never smoothed."""
    return F.binary_cross_entropy_with_logits(fake_logits, torch.ones_like(fake_logits))


def least_squares_discriminator(real_logits: Tensor, fake_logits: Tensor, real_label: float) -> tuple[Tensor, Tensor]:
    """Return half the squared distance from `real_label` and from 0 (arXiv:1611.04076, equation 9)."""
    return (real_logits - real_label).square().mean() / 2, fake_logits.square().mean() / 2


def least_squares_generator(fake_logits: Tensor) -> Tensor:
    """Return half the squared distance from 1 (arXiv:1611.04076, equation 9)."""
    return (fake_logits - 1).square().mean() / 2


def hinge_discriminator(real_logits: Tensor, fake_logits: Tensor, real_label: float) -> tuple[Tensor, Tensor]:
    """Return the hinge loss with margin 1 (arXiv:1705.02894; arXiv:1805.08318, equation 4)."""
    return F.relu(1 - real_logits).mean(), F.relu(1 + fake_logits).mean()


def wasserstein_discriminator(real_logits: Tensor, fake_logits: Tensor, real_label: float) -> tuple[Tensor, Tensor]:
    """Return E[D(fake)] - E[D(real)] as its two terms (arXiv:1701.07875). There is no label."""
    return -real_logits.mean(), fake_logits.mean()


def minus_mean(fake_logits: Tensor) -> Tensor:
    """Return -E[D(fake)].

    It is the generator's side of Wasserstein (arXiv:1701.07875) and hinge (arXiv:1805.08318, equation 4).
    """
    return -fake_logits.mean()


ADVERSARIAL: dict[str, Adversarial] = {
    "bce": Adversarial(bce_discriminator, bce_generator, boundary=0.0),
    "lsgan": Adversarial(least_squares_discriminator, least_squares_generator, boundary=0.5),
    "hinge": Adversarial(hinge_discriminator, minus_mean, boundary=0.0),
    "wgan": Adversarial(wasserstein_discriminator, minus_mean, boundary=None, clipped=True),
    "wgan_gp": Adversarial(wasserstein_discriminator, minus_mean, boundary=None, penalized=True),
}


def discriminator_terms(loss: Loss, real_logits: Tensor, fake_logits: Tensor) -> Terms:
    """Return ``discriminator_real`` and ``discriminator_fake``, both with weight 1 (Adam ignores a common factor).

    Args:
        loss: its section of the params.
        real_logits: (B, K, h, w), of photos.
        fake_logits: (B, K, h, w), of the generator's chroma.
    """
    adversarial = ADVERSARIAL[loss.adversarial]
    real, fake = adversarial.discriminator(real_logits.float(), fake_logits.float(), loss.real_label)
    return {"discriminator_real": real, "discriminator_fake": fake}


@torch.no_grad()
def discriminator_success(loss: Loss, real_logits: Tensor, fake_logits: Tensor) -> Terms:
    """Return ``discriminator_real_success`` and ``discriminator_fake_success``: shares of correct logits, in [0, 1].

    They are for monitoring and not part of the loss. The result is {} if logits have no boundary.
    """
    boundary = ADVERSARIAL[loss.adversarial].boundary
    if boundary is None:
        return {}
    return {
        "discriminator_real_success": (real_logits > boundary).float().mean(),
        "discriminator_fake_success": (fake_logits < boundary).float().mean(),
    }


@torch.no_grad()
def clip_weights(loss: Loss, discriminator: nn.Module) -> None:
    """Clip every weight to [-c, c] if the adversarial loss requires it (arXiv:1701.07875, algorithm 1)."""
    if ADVERSARIAL[loss.adversarial].clipped:
        weights: list[Tensor] = [p for p in discriminator.parameters() if p.requires_grad]
        torch._foreach_clamp_min_(weights, -loss.weight_clip)
        torch._foreach_clamp_max_(weights, loss.weight_clip)


def penalty_terms(
    loss: Loss, discriminator: Callable[[Tensor, Tensor], Tensor], lightness: Tensor, real: Tensor, fake: Tensor
) -> Terms:
    """Return ``gradient_penalty`` if the adversarial loss has one. Arguments are those of `gradient_penalty`."""
    if not (ADVERSARIAL[loss.adversarial].penalized and loss.gradient_penalty_weight):
        return {}
    return {"gradient_penalty": loss.gradient_penalty_weight * gradient_penalty(discriminator, lightness, real, fake)}


def gradient_penalty(
    discriminator: Callable[[Tensor, Tensor], Tensor], lightness: Tensor, real: Tensor, fake: Tensor
) -> Tensor:
    """Return the mean over photos of (||gradient|| - 1)^2, differentiable in the discriminator's weights.

    Source: arXiv:1704.00028, equation 3.

    The penalty is taken at one random point per photo between real and fake chroma. The gradient is with respect to
    chroma alone: real and fake share the lightness, so no mass ever moves along it. It is the gradient of the photo's
    summed patch logits, as in pytorch-CycleGAN-and-pix2pix, models/networks.py, `cal_gradient_penalty`. With their
    mean, the same weights would make the generator's adversarial term stronger by a factor equal to the number of
    patches.

    Call it outside autocast and uncompiled: bfloat16 is too coarse for gradients of gradients, and torch.compile cannot
    differentiate twice.

    Args:
        discriminator: (lightness, chroma) -> logits (B, K, h, w), without batch norm.
        lightness: (B, 1, H, W), network units.
        real: (B, planes, H, W), true chroma, network units.
        fake: (B, planes, H, W), the generator's, any floating dtype. No gradient flows into it.
    """
    share = torch.rand(real.shape[0], 1, 1, 1, device=real.device, dtype=real.dtype)
    between = torch.lerp(real, fake.detach().to(real.dtype), share).requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(lightness, between).sum(), between, create_graph=True)
    return (torch.linalg.vector_norm(gradient.flatten(1), dim=1) - 1).square().mean()
