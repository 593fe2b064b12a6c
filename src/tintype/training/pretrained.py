"""Initial weights of a generator."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from tintype.config import Generator
from tintype.models.resnet import resnet_from_imagenet
from tintype.models.timm_unet import encoder_from_imagenet


def start_from(generator: nn.Module, config: Generator) -> None:
    """Load the weights that ``config.weights`` names into a fresh generator.

    Raises:
        UserError: the weights are not available, or belong to another network.
    """
    if config.weights != "none":
        PRETRAINED[config.architecture, config.weights](generator)


def _from_released(generator: nn.Module) -> None:
    from tintype.inference.released_weights import start_from_released  # needs the package onnx

    start_from_released(generator)


PRETRAINED: dict[tuple[str, str], Callable[[nn.Module], None]] = {
    ("resnet18_unet", "imagenet"): resnet_from_imagenet,
    ("timm_unet", "imagenet"): encoder_from_imagenet,
    ("timm_unet", "everyday"): _from_released,
}
"""By ``generator.architecture`` and ``generator.weights``."""
