"""Spectral normalization of a whole network."""

from __future__ import annotations

from typing import TypeVar

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

Network = TypeVar("Network", bound=nn.Module)


def spectrally_normalized(network: Network) -> Network:
    """Divide the weights of every convolution and dense layer by their largest singular value. Return `network`.

    One step of power iteration updates the singular value at each forward pass in training mode. A layer's own weights
    are then called ``parametrizations.weight.original``. Frozen layers do not change.

    Source: arXiv:1802.05957; on the generator too: arXiv:1805.08318, section 4.1.
    """
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) and module.weight.requires_grad:
            spectral_norm(module)
    return network
