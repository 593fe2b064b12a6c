"""The end of a training whose numbers are no longer finite, before they get into a checkpoint or a result."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from torch import Tensor

from tintype.training.step import Networks


def refuse_non_finite(values: Mapping[str, float | str], networks: Networks | None, where: str, last_good: str) -> None:
    """Raise `FloatingPointError` if something is infinite or not a number. The message names it.

    If Adam's second moment overflows, each of its updates is 0: training goes on, and learns nothing. The optimizers'
    moments are therefore looked at like the weights.

    Args:
        values: loss terms and metrics by name. Text is left out.
        networks: whose weights and optimizers are looked at, or None.
        where: the step or the epoch.
        last_good: what a checkpoint holds.
    """
    bad = [f"{name} is {v}" for name, v in values.items() if isinstance(v, float) and not math.isfinite(v)]
    if not bad and networks is not None:
        for name, tensors in _tensors(networks):
            if not all(tensor.isfinite().all() for tensor in tensors):
                bad.append(f"{name} is not finite")
    if bad:
        raise FloatingPointError(
            f"training diverged in {where}: {', '.join(bad)}; {last_good}; a lower lr or smaller loss weights may help"
        )


def _tensors(networks: Networks) -> Iterator[tuple[str, list[Tensor]]]:
    """Yield names and tensors of the networks and of their optimizers' moments."""
    averaged = networks.averaged.network if networks.averaged is not None else None
    for name, network in (
        ("generator", networks.generator),
        ("discriminator", networks.discriminator),
        ("averaged generator", averaged),
    ):
        if network is not None:
            yield f"a weight of the {name}", [t for t in network.state_dict().values() if t.is_floating_point()]
    for name, optimizer in (
        ("generator", networks.generator_optimizer),
        ("discriminator", networks.discriminator_optimizer),
    ):
        if optimizer is not None:
            moments = [t for of_weight in optimizer.state.values() for t in of_weight.values() if isinstance(t, Tensor)]
            yield f"a moment of the {name}'s optimizer", moments
