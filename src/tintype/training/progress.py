"""How far a training has come: what a checkpoint holds besides the networks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from tintype.losses import Terms

Record = dict[str, float | str]
"""One epoch of the curves.

It has ``epoch`` (from 1, over all phases), ``phase``, ``lr`` (at its start), the mean of each loss term, ``val_mae``,
``val_ciede2000`` and ``val_colorfulness``. On a CPU the same training gives the same record, to the last bit.
"""


class Means:
    """Running means of named terms. They stay on their device until they are read."""

    def __init__(self) -> None:
        self.sums: Terms = {}
        self.counts: dict[str, int] = {}

    def add(self, terms: Terms) -> None:
        """Add one step. A step need not have every term."""
        for name, term in terms.items():
            self.sums[name] = self.sums[name] + term if name in self.sums else term.clone()
            self.counts[name] = self.counts.get(name, 0) + 1

    def read(self) -> dict[str, float]:
        """Return the means so far, in one transfer from the device."""
        if not self.sums:
            return {}
        sums = torch.stack(list(self.sums.values())).tolist()
        return {name: total / self.counts[name] for name, total in zip(self.sums, sums, strict=True)}


@dataclass
class Progress:
    """The finished epochs of a training, and the part of the next one that is done."""

    curves: list[Record] = field(default_factory=list)
    """Of the finished epochs."""
    step: int = 0
    """Steps of the next epoch that are done."""
    means: Means = field(default_factory=Means)
    """Of these steps."""

    def state(self, device: torch.device) -> dict[str, Any]:
        """Return the state for a checkpoint, with that of torch's random generator for the device."""
        random = torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()
        means = {"sums": self.means.sums, "counts": self.means.counts}
        return {"curves": self.curves, "step": self.step, "means": means, "random": random}

    def restore(self, state: dict[str, Any], device: torch.device) -> None:
        """Load what `state` returned. The random generator is left alone."""
        self.curves, self.step = state["curves"], state["step"]
        self.means.sums = {name: total.to(device) for name, total in state["means"]["sums"].items()}
        self.means.counts = state["means"]["counts"]

    def end_epoch(self, record: Record) -> None:
        """Begin the next epoch."""
        self.curves.append(record)
        self.step, self.means = 0, Means()

    def __str__(self) -> str:
        epochs = len(self.curves)
        return f"after {self.step} steps of epoch {epochs + 1}" if self.step else f"after epoch {epochs}"


def seed_epoch(seed: int, device: torch.device, state: dict[str, Any] | None) -> None:
    """Set torch's random generator for an epoch: to a seed or, if it was left in the middle, to the state it had then.

    Args:
        seed: of the epoch.
        device: of the networks.
        state: as returned by `Progress.state`, if the epoch was left in the middle.
    """
    torch.manual_seed(seed)
    if state is not None:
        if device.type == "cuda":
            torch.cuda.set_rng_state(state["random"], device)
        else:
            torch.set_rng_state(state["random"])
