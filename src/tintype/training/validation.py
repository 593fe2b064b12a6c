"""Figures of a generator in training, on photos that it is not trained on."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from tintype.color import ColorSpace, delta_e_ciede2000, rgb_to_lab
from tintype.data.cache import LabSplit, decode

PHOTOS = 256
"""At most so many: they draw a curve; the figures that count are of the test split."""
TOGETHER = 32


class Validation:
    """Holds the photos of a split, or `PHOTOS` of them, on the device that trains; the generator works in `space`."""

    def __init__(self, split: LabSplit, space: ColorSpace, device: torch.device) -> None:
        self.space = space
        # evenly over the split, which may be sorted by class
        chosen = np.linspace(0, len(split) - 1, min(len(split), PHOTOS)).round().astype(int)
        self.codes = torch.from_numpy(split.codes[chosen]).to(device)

    @torch.no_grad()
    def figures(self, generator: nn.Module) -> dict[str, float]:
        """``val_l1`` in network units and ``val_ciede2000``, means over photos, in eval mode; {} without photos."""
        generator.eval()
        l1, ciede2000 = [], []
        for codes in self.codes.split(TOGETHER) if len(self.codes) else ():
            lab = decode(codes)
            lightness, true_chroma = self.space.split(lab)
            chroma = generator(lightness.contiguous(memory_format=torch.channels_last)).chroma
            l1.append((chroma - true_chroma).abs().mean(dim=(1, 2, 3)))
            shown = rgb_to_lab(self.space.to_rgb(lightness, chroma))  # what a screen makes of it: clipped to sRGB
            ciede2000.append(delta_e_ciede2000(shown, lab).mean(dim=(1, 2)))
        if not l1:
            return {}
        means = torch.stack([torch.cat(l1).mean(), torch.cat(ciede2000).mean()])
        return dict(zip(("val_l1", "val_ciede2000"), means.tolist(), strict=True))
