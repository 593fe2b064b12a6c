"""The exponential moving average (EMA) of a generator's weights, which training keeps."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

WARM_UP = 10
"""Constant of the decay's warm-up, see `Averaged`. After one update, a tenth of the average is the initial weights."""


class Averaged:
    """An exponential moving average (EMA) of weights and of batch norm's running means.

    The decay rises with the number of updates t: min(decay, (1 + t) / (10 + t)), as in TensorFlow's
    ExponentialMovingAverage (https://www.tensorflow.org/api_docs/python/tf/train/ExponentialMovingAverage). A short
    training's average therefore does not remember the random initial weights.

    torch.optim.swa_utils.AveragedModel is not used, because it makes the host wait for the device at every step.

    Args:
        generator: is copied.
        decay: limit of the decay, in [0, 1). The average covers 1 / (1 - decay) updates.
    """

    def __init__(self, generator: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(generator).requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def move_to(self, generator: nn.Module) -> None:
        """Update the average once with the generator's weights."""
        decay = min(self.decay, (1 + self.updates) / (WARM_UP + self.updates))
        self.updates += 1
        old, new = ([*network.parameters(), *network.buffers()] for network in (self.network, generator))
        pairs = [(a, b) for a, b in zip(old, new, strict=True) if a.is_floating_point()]
        torch._foreach_lerp_([a for a, _ in pairs], [b for _, b in pairs], 1 - decay)

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"network": self.network.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`."""
        self.network.load_state_dict(state["network"])
        self.updates = state["updates"]
