"""Generators and discriminators, picked by name.

A generator is called with lightness (B, 1, H, W) and gives a `Prediction`; a discriminator is called with lightness
and chroma (B, 2, H, W) and gives logits (B, 1, h, w). All in network units (see `tintype.color.lab_to_net`).
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from tintype.config import Discriminator, Generator
from tintype.models.blocks import init_weights
from tintype.models.patch import PatchGAN
from tintype.models.storage import GeneratorCard, load_generator, save_generator, weights_hash
from tintype.models.unet import Prediction, UNet

__all__ = [
    "DISCRIMINATORS",
    "GENERATORS",
    "GeneratorCard",
    "Prediction",
    "build_discriminator",
    "build_generator",
    "load_generator",
    "save_generator",
    "weights_hash",
]

GENERATORS: dict[str, Callable[[Generator, int, int], nn.Module]] = {"unet": UNet}
DISCRIMINATORS: dict[str, Callable[[Discriminator, int], nn.Module]] = {"patch": PatchGAN}


def build_generator(config: Generator, classes: int, image_size: int) -> nn.Module:
    """A generator with fresh weights, drawn from torch's global generator.

    Args:
        config: which one, and how large.
        classes: 0 for no class branch.
        image_size: side of the training photos, pixels.

    Raises:
        ConfigError: `config` and `image_size` do not fit together.
    """
    return GENERATORS[config.name](config, classes, image_size).apply(init_weights)


def build_discriminator(config: Discriminator, image_size: int) -> nn.Module:
    """A discriminator with fresh weights, drawn from torch's global generator.

    Raises:
        ConfigError: `config` and `image_size` do not fit together.
    """
    return DISCRIMINATORS[config.name](config, image_size).apply(init_weights)
