"""What the networks are trained to make small: named dicts of weighted scalars. Their sum is the loss.

A term whose weight is 0 is left out and costs nothing. Logits may come from autocast; terms are float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from tintype.config import Loss

Terms = dict[str, Tensor]


class Adversarial(NamedTuple):
    """The two sides of an adversarial loss; every figure is the mean over photos and patches."""

    critic: Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]
    """(logits of real, logits of fake, label of real) -> (term of the real, term of the fake)."""
    generator: Callable[[Tensor], Tensor]
    """Logits of fake -> term."""
    penalized: bool
    """Whether the critic also gets the gradient penalty."""


def bce_critic(real_logits: Tensor, fake_logits: Tensor, real_label: float) -> tuple[Tensor, Tensor]:
    """Binary cross entropy; one-sided label smoothing (arXiv:1606.03498, 3.4) puts `real_label` in place of 1."""
    real = F.binary_cross_entropy_with_logits(real_logits, torch.full_like(real_logits, real_label))
    return real, F.binary_cross_entropy_with_logits(fake_logits, torch.zeros_like(fake_logits))


def bce_generator(fake_logits: Tensor) -> Tensor:
    """The non-saturating loss -log D(G) (arXiv:1406.2661, section 3); its target is 1, never smoothed."""
    return F.binary_cross_entropy_with_logits(fake_logits, torch.ones_like(fake_logits))


def wasserstein_critic(real_logits: Tensor, fake_logits: Tensor, real_label: float) -> tuple[Tensor, Tensor]:
    """E[D(fake)] - E[D(real)] (arXiv:1701.07875); there is no label."""
    return -real_logits.mean(), fake_logits.mean()


def wasserstein_generator(fake_logits: Tensor) -> Tensor:
    """-E[D(fake)] (arXiv:1701.07875)."""
    return -fake_logits.mean()


ADVERSARIAL: dict[str, Adversarial] = {
    "bce": Adversarial(bce_critic, bce_generator, penalized=False),
    "wgan_gp": Adversarial(wasserstein_critic, wasserstein_generator, penalized=True),
}


def critic_terms(loss: Loss, real_logits: Tensor, fake_logits: Tensor) -> Terms:
    """``critic_real`` and ``critic_fake``, both of weight 1 (Adam is blind to a common factor).

    Args:
        loss: its section of the params.
        real_logits: (B, 1, h, w), of photos.
        fake_logits: (B, 1, h, w), of the generator's chroma.
    """
    adversarial = ADVERSARIAL[loss.adversarial]
    real, fake = adversarial.critic(real_logits.float(), fake_logits.float(), loss.real_label)
    return {"critic_real": real, "critic_fake": fake}


def penalty_terms(
    loss: Loss, critic: Callable[[Tensor, Tensor], Tensor], lightness: Tensor, real: Tensor, fake: Tensor
) -> Terms:
    """``gradient_penalty`` where the adversarial loss has one; arguments as in `gradient_penalty`."""
    if not (ADVERSARIAL[loss.adversarial].penalized and loss.gradient_penalty_weight):
        return {}
    return {"gradient_penalty": loss.gradient_penalty_weight * gradient_penalty(critic, lightness, real, fake)}


def gradient_penalty(
    critic: Callable[[Tensor, Tensor], Tensor], lightness: Tensor, real: Tensor, fake: Tensor
) -> Tensor:
    """Mean over photos of (||gradient|| - 1)^2, differentiable in the critic's weights (arXiv:1704.00028, equation 3).

    Taken at one random point a photo between real and fake chroma. The gradient is by chroma alone: real and fake share
    the lightness, so that no mass ever moves along it. It is that of the photo's summed patch logits, as in
    pytorch-CycleGAN-and-pix2pix, models/networks.py, `cal_gradient_penalty`; with their mean, the same weights would
    make the generator's adversarial term as many times stronger as there are patches.

    Call it outside autocast and not compiled: bfloat16 is too coarse for gradients of gradients, and torch.compile
    cannot differentiate twice.

    Args:
        critic: (lightness, chroma) -> logits (B, 1, h, w), without batch norm.
        lightness: (B, 1, H, W), network units.
        real: (B, 2, H, W), true chroma, network units.
        fake: (B, 2, H, W), the generator's, any floating dtype; no gradient flows into it.
    """
    share = torch.rand(real.shape[0], 1, 1, 1, device=real.device, dtype=real.dtype)
    between = torch.lerp(real, fake.detach().to(real.dtype), share).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(lightness, between).sum(), between, create_graph=True)
    return (torch.linalg.vector_norm(gradient.flatten(1), dim=1) - 1).square().mean()


def generator_terms(
    loss: Loss,
    chroma: Tensor,
    true_chroma: Tensor,
    *,
    class_logits: Tensor | None = None,
    labels: Tensor | None = None,
    fake_logits: Tensor | None = None,
) -> Terms:
    """``adversarial``, ``l1``, ``l2`` and ``class``, as far as they have a weight and what they need.

    Args:
        loss: its section of the params.
        chroma: (B, 2, H, W), the generator's, network units.
        true_chroma: (B, 2, H, W), network units.
        class_logits: (B, classes), or None without a class branch.
        labels: (B,) int64, -1 where a photo has none: it is left out of the mean.
        fake_logits: (B, 1, h, w), the critic's of `chroma`, or None while no critic takes part.
    """
    chroma = chroma.float()
    terms: Terms = {}
    if loss.adversarial_weight and fake_logits is not None:
        terms["adversarial"] = loss.adversarial_weight * ADVERSARIAL[loss.adversarial].generator(fake_logits.float())
    if loss.l1_weight:
        terms["l1"] = loss.l1_weight * F.l1_loss(chroma, true_chroma)
    if loss.l2_weight:
        terms["l2"] = loss.l2_weight * F.mse_loss(chroma, true_chroma)
    if loss.class_weight and class_logits is not None and labels is not None:
        entropy = F.cross_entropy(class_logits.float(), labels, ignore_index=-1, reduction="sum")
        # not reduction="mean": of a batch without a single label that is 0/0
        terms["class"] = loss.class_weight * entropy / (labels >= 0).sum().clamp(min=1)
    return terms
