"""Gray photos, told from colored ones."""

from __future__ import annotations

import numpy as np
from PIL import Image


def is_gray(rgb: np.ndarray, threshold: float) -> bool:
    """Whether 99 % of the photo has less chroma than `threshold`, as in a gray photo stored as RGB; sepia has more.

    Args:
        rgb: (H, W, 3) uint8, sRGB.
        threshold: CIE C*ab = sqrt(a*² + b*²), D65; 0 takes no photo for gray.
    """
    from skimage.color import rgb2lab

    # 128x128 pixels tell as much as all do. Means of blocks, not single pixels: noise of the sensor or scanner averages
    # out; real color, smooth at this scale (JPEG keeps but a quarter of it), does not.
    height, width = rgb.shape[:2]
    blocks = Image.fromarray(rgb).reduce(max(1, round((height * width) ** 0.5 / 128)))
    lab = rgb2lab(np.asarray(blocks, np.float32) / 255)
    return bool(np.percentile(np.hypot(lab[..., 1], lab[..., 2]), 99) < threshold)
