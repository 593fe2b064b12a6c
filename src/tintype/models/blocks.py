"""Building blocks of the networks."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from tintype.color.spaces import ColorSpace


class DownBlock(nn.Sequential):
    """Convolution, batch norm, leaky ReLU: (B, c_in, H, W) -> (B, c_out, H/2, W/2); with stride 1 (H-1, W-1).

    Source: the C64-C512 blocks of pix2pix, arXiv:1611.07004, section 6.1.
    """

    def __init__(self, c_in: int, c_out: int, *, stride: int = 2, norm: bool = True) -> None:
        layers: list[nn.Module] = [nn.Conv2d(c_in, c_out, 4, stride, padding=1, bias=not norm)]
        if norm:
            layers.append(nn.BatchNorm2d(c_out))
        super().__init__(*layers, nn.LeakyReLU(0.2))


class UpBlock(nn.Sequential):
    """Transposed convolution, batch norm, dropout, ReLU: (B, c_in, H, W) -> (B, c_out, 2H, 2W).

    Source: the CD512 and C512 blocks of pix2pix, arXiv:1611.07004, section 6.1.
    """

    def __init__(self, c_in: int, c_out: int, *, dropout: float = 0.0) -> None:
        layers: list[nn.Module] = [nn.ConvTranspose2d(c_in, c_out, 4, 2, padding=1, bias=False), nn.BatchNorm2d(c_out)]
        if dropout:
            layers.append(nn.Dropout(dropout))
        super().__init__(*layers, nn.ReLU())


def bounded(space: ColorSpace) -> nn.Module:
    """Return the last activation of a generator, which maps to the range of the space's chroma."""
    return nn.Tanh() if space.signed else nn.Sigmoid()


def padded(x: Tensor, stride: int) -> Tensor:
    """Repeat the last row and column until H and W are multiples of `stride`. Return `x` itself if they already are.

    This is for networks that halve the size and double it again: pad before, and crop the output to the photo's size.
    """
    height, width = x.shape[-2:]
    below, right = -height % stride, -width % stride
    return F.pad(x, (0, right, 0, below), mode="replicate") if below or right else x


def init_he(module: nn.Module) -> None:
    """Draw convolution weights so that leaky ReLUs keep the variance without batch norm (He et al., arXiv:1502.01852).

    For ``network.apply(init_he)``. Draws from torch's global generator.
    """
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.kaiming_normal_(module.weight, a=0.2)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def init_pix2pix(module: nn.Module) -> None:
    """Draw convolutions and dense layers from N(0, 0.02) and batch norm scales from N(1, 0.02); zero biases (pix2pix).

    For ``network.apply(init_pix2pix)``. Draws from torch's global generator.
    """
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
