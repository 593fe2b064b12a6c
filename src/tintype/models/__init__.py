"""Generators and discriminators, selected by name.

A generator takes lightness (B, 1, H, W) and returns a `Prediction`. A discriminator takes lightness and chroma (B,
planes, H, W) and returns logits (B, 1, h, w); `ProjectedDiscriminator` returns (B, 4, h, w). All are in network units
of a space of `tintype.color.spaces.SPACES`. H and W can be any size.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from tintype.color.spaces import SPACES, ColorSpace
from tintype.config import Discriminator, Generator
from tintype.models.dense import DenseDiscriminator
from tintype.models.double_conv import DoubleConvGenerator
from tintype.models.patch import PatchGAN
from tintype.models.prediction import Prediction
from tintype.models.projected import ProjectedDiscriminator
from tintype.models.resnet import ResNet18UNet
from tintype.models.spectral import spectrally_normalized
from tintype.models.storage import GeneratorCard, load_generator, save_generator, weights_hash
from tintype.models.timm_unet import TimmUNet
from tintype.models.unet import UNet
from tintype.models.unet_discriminator import UNetDiscriminator

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

GENERATORS: dict[str, Callable[[Generator, int, int], nn.Module]] = {
    "unet": UNet,
    "double_conv_unet": lambda config, classes, image_size: DoubleConvGenerator(config, skips=True),
    "autoencoder": lambda config, classes, image_size: DoubleConvGenerator(config, skips=False),
    "resnet18_unet": lambda config, classes, image_size: ResNet18UNet(config),
    "timm_unet": lambda config, classes, image_size: TimmUNet(config),
}
"""Constructors, called with the config, the number of classes and the side of the training photos.

Only `UNet` uses the classes.
"""

DISCRIMINATORS: dict[str, Callable[[Discriminator, ColorSpace, int], nn.Module]] = {
    "patch": lambda config, space, image_size: PatchGAN(config, 1 + space.planes),
    "dense": lambda config, space, image_size: DenseDiscriminator(config, 1 + space.planes, image_size),
    "unet": lambda config, space, image_size: UNetDiscriminator(config, 1 + space.planes),
    "projected": lambda config, space, image_size: ProjectedDiscriminator(config, space),
}
"""Constructors, called with the config, the space in which photos are seen, and the side of the training photos."""


def build_generator(config: Generator, classes: int, image_size: int) -> nn.Module:
    """Return a generator with fresh weights, drawn from torch's global generator.

    Args:
        config: architecture and size.
        classes: number of classes. 0 means no class branch.
        image_size: side of the training photos, pixels.
    """
    generator = GENERATORS[config.architecture](config, classes, image_size)
    return spectrally_normalized(generator) if config.spectral_norm else generator


def build_discriminator(config: Discriminator, space: str, image_size: int) -> nn.Module:
    """Return a discriminator with fresh weights, drawn from torch's global generator.

    Args:
        config: architecture and size.
        space: space in which it sees photos, a name of `tintype.color.spaces.SPACES`.
        image_size: side of the training photos, pixels.
    """
    discriminator = DISCRIMINATORS[config.architecture](config, SPACES[space], image_size)
    return spectrally_normalized(discriminator) if config.spectral_norm else discriminator
