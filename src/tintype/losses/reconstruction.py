"""Reconstruction losses of the generator: in the planes, in a network's features, in class and in bins."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from tintype.color.bins import soft_encode
from tintype.color.colorfulness import colorfulness
from tintype.color.spaces import ColorSpace
from tintype.config import Loss
from tintype.data.batches import Batch
from tintype.losses.adversarial import ADVERSARIAL, Terms
from tintype.models import Prediction

if TYPE_CHECKING:
    from tintype.features.perceptual import PerceptualNetwork


@dataclass(frozen=True)
class Criterion:
    """A row's losses, with everything that they need besides the networks' outputs."""

    loss: Loss
    space: ColorSpace
    """Space of the generator."""
    perceptual_network: PerceptualNetwork | None = None
    """Network of the perceptual loss, if that has a weight."""
    bin_weights: Tensor | None = None
    """(Q,), weights of the ab bins, if rare colors weigh more."""


def generator_terms(
    criterion: Criterion, batch: Batch, prediction: Prediction, fake_logits: Tensor | None = None
) -> Terms:
    """Return the terms that have a weight.

    Their names are ``adversarial``, ``l1``, ``l2``, ``perceptual``, ``colorfulness``, ``class`` and ``bins``.

    Args:
        criterion: the row's losses.
        batch: in the criterion's space.
        prediction: the generator's, for the batch.
        fake_logits: (B, K, h, w), the discriminator's for the prediction, or None if no discriminator takes part.
    """
    loss, chroma = criterion.loss, prediction.chroma.float()
    to_rgb = partial(criterion.space.to_rgb, batch.lightness)
    terms: Terms = {}
    if loss.adversarial_weight and fake_logits is not None:
        terms["adversarial"] = loss.adversarial_weight * ADVERSARIAL[loss.adversarial].generator(fake_logits.float())
    rgb = None
    in_rgb = loss.perceptual_weight or loss.colorfulness_weight
    if in_rgb or (loss.space == "rgb" and (loss.l1_weight or loss.l2_weight)):
        rgb = to_rgb(chroma), to_rgb(batch.chroma)
    compared = rgb if rgb is not None and loss.space == "rgb" else (chroma, batch.chroma)
    if loss.l1_weight:
        terms["l1"] = loss.l1_weight * F.l1_loss(*compared)
    if loss.l2_weight:
        terms["l2"] = loss.l2_weight * F.mse_loss(*compared)
    if loss.perceptual_weight:
        assert criterion.perceptual_network is not None
        assert rgb is not None
        terms["perceptual"] = loss.perceptual_weight * criterion.perceptual_network.perceptual_loss(*rgb)
    if loss.colorfulness_weight:
        assert rgb is not None
        terms["colorfulness"] = loss.colorfulness_weight * (1 - colorfulness(rgb[0], epsilon=1e-2).mean() / 100)
    if loss.class_weight and prediction.class_logits is not None:
        terms["class"] = loss.class_weight * class_entropy(prediction.class_logits, batch.labels)
    if loss.bins_weight:
        assert prediction.bin_logits is not None
        true_ab = criterion.space.to_lab(batch.lightness, batch.chroma)[:, 1:]
        terms["bins"] = loss.bins_weight * bin_entropy(
            prediction.bin_logits, true_ab, criterion.bin_weights if loss.rebalancing else None
        )
    return terms


def class_entropy(class_logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy, averaged over the photos that have a class.

    Args:
        class_logits: (B, classes).
        labels: (B,) int64, -1 if a photo has no class.
    """
    entropy = F.cross_entropy(class_logits.float(), labels, ignore_index=-1, reduction="sum")
    # reduction="mean" would be 0/0 for a batch without any label
    return entropy / (labels >= 0).sum().clamp(min=1)


def bin_entropy(bin_logits: Tensor, true_ab: Tensor, weights: Tensor | None) -> Tensor:
    """Return the cross-entropy with softly encoded ab, averaged over pixels.

    With weights, each pixel is weighted by the rarity of its color.

    Source: arXiv:1603.08511, equations 2 and 3.

    Args:
        bin_logits: (B, Q, h, w).
        true_ab: (B, 2, H, W), Lab units. H and W are about 4 times h and w. It is averaged to that grid.
        weights: (Q,), or None to give every pixel weight 1.
    """
    true = soft_encode(F.avg_pool2d(true_ab, 4, ceil_mode=True))
    entropy = -(true * torch.log_softmax(bin_logits.float(), dim=1)).sum(dim=1)
    return (entropy if weights is None else weights[true.argmax(dim=1)] * entropy).mean()
