"""Degradations of age, film and scanners, applied to the lightness that a generator sees.

The functions take photos (B, 1, H, W) in [0, 1], black to white, with H = W, and strengths (B,). They return photos of
the same shape. All run on the photos' device.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 128
"""Blur and grain are given in pixels of photos with this side, and scale with larger photos."""
SHIFTS = 256
"""Number of possible window positions per axis in the epoch's noise. A photo's grain is one such window."""

# fmt: off
LUMINANCE_TABLE = (
    16, 11, 10, 16,  24,  40,  51,  61,
    12, 12, 14, 19,  26,  58,  60,  55,
    14, 13, 16, 24,  40,  57,  69,  56,
    14, 17, 22, 29,  51,  87,  80,  62,
    18, 22, 37, 56,  68, 109, 103,  77,
    24, 35, 55, 64,  81, 104, 113,  92,
    49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103,  99,
)
# fmt: on
"""ITU-T T.81, table K.1."""


class Degradation(NamedTuple):
    """Degradation parameters of B photos."""

    blur: Tensor
    """(B,), sigma of `blur` in pixels of `SIDE`. 0 is sharp."""
    black: Tensor
    """(B,), the value that black becomes. 0 keeps black."""
    white: Tensor
    """(B,), the value that white becomes. 1 keeps white."""
    gamma: Tensor
    """(B,), exponent. 1 changes nothing."""
    grain: Tensor
    """(B,), standard deviation. 0 means no grain."""
    grain_size: Tensor
    """(B,), pixels of `SIDE`."""
    grain_place: Tensor
    """(B, 2) int64, under `SHIFTS`: position of the grain in the epoch's noise."""
    border: Tensor
    """(B, 4), widths on the left, above, on the right and below, as shares of the side. 0 means no border."""
    border_level: Tensor
    """(B,), level of the borders, near black or white."""
    quality: Tensor
    """(B,), JPEG quality. 100 leaves a photo almost unchanged."""

    def of(self, photos: Tensor) -> Degradation:
        """Return the degradation of the photos with these indices."""
        return Degradation(*(values[photos] for values in self))

    def to(self, device: torch.device) -> Degradation:
        """Return the same degradation on a device."""
        return Degradation(*(values.to(device) for values in self))


def draw_degradation(count: int, rng: torch.Generator) -> Degradation:
    """Draw the degradation of `count` photos: for each photo at least one random kind, each of random strength.

    Args:
        count: number of photos.
        rng: on the CPU, where the result is too.
    """

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=rng)

    def mostly_mild(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=rng) ** 2

    def chosen(*choices: int) -> Tensor:
        """Choose a non-empty subset for each photo. All subsets are equally likely."""
        number = torch.randint(1, 2 ** len(choices), (count,), generator=rng)
        return torch.stack([number >> choice & 1 == 1 for choice in choices], dim=1)

    blurred, toned, curved, grainy, bordered, compressed = chosen(*range(6)).unbind(1)
    widths = uniform(0.01, 0.08, 4) * chosen(*range(4))
    dark = uniform(0, 1) < 0.75
    return Degradation(
        blur=mostly_mild(0.3, 1.5) * blurred,
        # black and white each move up or down: flat, harsh, underexposed or overexposed
        black=uniform(-0.2, 0.3) * toned,
        white=1 + uniform(-0.3, 0.2) * toned,
        gamma=(uniform(-1, 1) * math.log(1.8) * curved).exp(),
        grain=mostly_mild(0.005, 0.06) * grainy,
        grain_size=uniform(0, 0.8),
        grain_place=torch.randint(SHIFTS, (count, 2), generator=rng),
        border=widths * bordered[:, None],
        border_level=torch.where(dark, uniform(0, 0.1), uniform(0.9, 1)),
        quality=torch.where(compressed, uniform(15, 60), 100.0),
    )


def draw_noise(side: int, rng: torch.Generator) -> Tensor:
    """Draw the noise from which all grain of an epoch is cut: (side + SHIFTS, side + SHIFTS), on the CPU."""
    return torch.randn(side + SHIFTS, side + SHIFTS, generator=rng)


def degrade(lightness: Tensor, how: Degradation, noise: Tensor) -> Tensor:
    """Degrade each photo in the order of its life: lens, film, scan, file.

    Args:
        lightness: (B, 1, H, W), L/50 - 1, in [-1, 1], H = W. L/100 serves as the gray value, because it is close to
            sRGB's.
        how: the degradation of each photo, on the same device.
        noise: as returned by `draw_noise`, on the same device.
    Returns:
        (B, 1, H, W), in [-1, 1].
    """
    side = lightness.shape[-1]
    scale = side / SIDE
    photos = blur((lightness + 1) / 2, how.blur * scale)
    photos = adjust_gamma(adjust_contrast(photos, how.black, how.white), how.gamma)
    rows, columns = how.grain_place.unbind(1)
    windows = noise.unfold(0, side, 1).unfold(1, side, 1)[rows, columns].unsqueeze(1)
    photos = add_grain(photos, windows, how.grain, how.grain_size * scale)
    photos = add_border(photos, how.border, how.border_level)
    return compress_jpeg(photos, how.quality) * 2 - 1


def blur(photos: Tensor, sigma: Tensor) -> Tensor:
    """Apply a Gaussian blur of standard deviation `sigma`, in pixels.

    Pixels past an edge do not count. The remaining weights are normalized.
    """
    kernel = _gaussian(sigma, photos)
    kernel /= kernel.sum(dim=-1, keepdim=True)
    return kernel @ photos @ kernel.mT


def adjust_contrast(photos: Tensor, black: Tensor, white: Tensor) -> Tensor:
    """Map 0 to `black` and 1 to `white`, and clip to [0, 1]."""
    return (_per_photo(black) + photos * _per_photo(white - black)).clamp(0, 1)


def adjust_gamma(photos: Tensor, gamma: Tensor) -> Tensor:
    """Return ``photos ** gamma``."""
    return photos ** _per_photo(gamma)


def add_grain(photos: Tensor, noise: Tensor, strength: Tensor, size: Tensor) -> Tensor:
    """Add Gaussian noise with grains of a given `size`, and clip.

    Args:
        photos: as above.
        noise: (B, 1, H, W), white, of standard deviation 1.
        strength: (B,), standard deviation of the noise that is added.
        size: (B,), standard deviation in pixels of the Gaussian that smooths the noise into grains. 0 keeps white
            noise.
    """
    kernel = _gaussian(size, photos)
    kernel /= kernel.square().sum(dim=-1, keepdim=True).sqrt()  # keeps the noise's variance
    return (photos + _per_photo(strength) * (kernel @ noise @ kernel.mT)).clamp(0, 1)


def add_border(photos: Tensor, widths: Tensor, level: Tensor) -> Tensor:
    """Cover the edges, like the rims of negatives and prints.

    Args:
        photos: as above.
        widths: (B, 4), on the left, above, on the right and below, as shares of the side.
        level: (B,), in [0, 1].
    """
    side = photos.shape[-1]
    place = (torch.arange(side, device=photos.device) + 0.5) / side
    left, top, right, bottom = widths[:, :, None].unbind(1)
    inside = [(place >= low) & (place <= 1 - high) for low, high in ((top, bottom), (left, right))]
    return torch.where(inside[0][:, None, :, None] & inside[1][:, None, None, :], photos, _per_photo(level))


def compress_jpeg(photos: Tensor, quality: Tensor) -> Tensor:
    """Simulate saving photos as gray JPEGs: quantize the DCT of blocks of 8x8 pixels.

    Args:
        photos: as above.
        quality: (B,), 1 to 100, on libjpeg's scale.

    Source: ITU-T T.81, A.3 and table K.1; jpeg_quality_scaling of libjpeg's jcparam.c.
    """
    batch, _, height, width = photos.shape
    table = torch.tensor(LUMINANCE_TABLE, dtype=photos.dtype, device=photos.device).view(8, 1, 8)
    percent = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality).floor()
    steps = ((table * percent[:, None, None, None] + 50) / 100).floor().clamp(1, 255)[:, None]

    dct = _dct().to(photos)
    values = F.pad((photos * 255).round() - 128, (0, -width % 8, 0, -height % 8), mode="replicate")
    padded = values.shape
    # transform the blocks along one axis, then along the other, without moving a pixel in memory
    rows = dct @ values.reshape(-1, 8, padded[-1])
    coefficients = (rows.reshape(-1, 8) @ dct.mT).view(batch, padded[-2] // 8, 8, padded[-1] // 8, 8)
    quantized = (coefficients / steps).round() * steps
    rows = dct.mT @ (quantized.view(-1, 8) @ dct).view(-1, 8, padded[-1])
    return ((rows.view(padded)[..., :height, :width] + 128).round() / 255).clamp(0, 1)


def _gaussian(sigma: Tensor, photos: Tensor) -> Tensor:
    """Return (B, 1, H, H), the weights of column j for row i, at most 1.

    It is a matrix because each photo has its own sigma.
    """
    place = torch.arange(photos.shape[-1], device=photos.device)
    in_sigmas = place / sigma.clamp(min=1e-3)[:, None]
    # Cut at 5 sigma: multiplying by the tail's denormal numbers takes ten times as long on a CPU.
    profile = torch.where(in_sigmas < 5, (-0.5 * in_sigmas**2).exp(), 0)
    return profile[:, None, (place[:, None] - place).abs()]


def _per_photo(values: Tensor) -> Tensor:
    return values[:, None, None, None]


@cache
def _dct() -> Tensor:
    """Return the orthonormal DCT matrix (8, 8). Row k is the wave of frequency k."""
    k = torch.arange(8, dtype=torch.float64)
    waves = (math.pi / 8 * k[:, None] * (k + 0.5)).cos() / 2
    waves[0] /= 2**0.5
    return waves
