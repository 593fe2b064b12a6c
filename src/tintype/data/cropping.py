"""Random resized crops of a batch, on the batch's device."""

from __future__ import annotations

import torch
from torch import Tensor

ASPECT_RATIOS = (3 / 4, 4 / 3)


def random_boxes(count: int, scale: float, rng: torch.Generator) -> Tensor:
    """Draw the crop boxes of `count` square photos.

    Each crop covers a share of the photo's area between `scale` and 1. Its width over height lies within
    `ASPECT_RATIOS`, limited to what a crop of its area can have within the photo. Source: the crops of arXiv:1409.4842,
    section 6.

    Args:
        count: number of photos.
        scale: in (0, 1]. 1 keeps whole photos.
        rng: on the CPU.
    Returns:
        (count, 4) left, top, right, bottom, in [0, 1], on the CPU.
    """
    area, ratio, *places = torch.rand(4, count, generator=rng).unbind()
    area = scale + (1 - scale) * area
    low, high = (torch.tensor(bound).log() for bound in ASPECT_RATIOS)
    low, high = low.maximum(area.log()), high.minimum(-area.log())
    ratio = (low + (high - low) * ratio).exp()
    size = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()], dim=1).clamp(max=1)
    start = (1 - size) * torch.stack(places, dim=1)
    return torch.cat([start, start + size], dim=1)


def crop_and_resize(photos: Tensor, boxes: Tensor, side: int) -> Tensor:
    """Crop each photo and resize it to a square with bilinear interpolation.

    Where a crop shrinks, each pixel is the mean of enough samples to avoid aliasing.

    Args:
        photos: (B, planes, H, H) float32, any values.
        boxes: (B, 4), as returned by `random_boxes`.
        side: side of the result, pixels.
    Returns:
        (B, planes, side, side). A whole photo at its own side is unchanged.
    """
    from torchvision.ops import roi_align

    numbers = torch.arange(len(photos), dtype=photos.dtype, device=photos.device)
    pixels = torch.cat([numbers[:, None], boxes * photos.shape[-1]], dim=1)
    # aligned=True: pixel centers lie at halves, as with align_corners=False
    return roi_align(photos, pixels, (side, side), aligned=True)
