"""What the networks are made of."""

from __future__ import annotations

from torch import nn


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


def init_weights(module: nn.Module) -> None:
    """Draw convolutions and dense layers from N(0, 0.02), batch norm's scales from N(1, 0.02), biases 0 (pix2pix).

    For ``network.apply(init_weights)``; draws from torch's global generator.
    """
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
