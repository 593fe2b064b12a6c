"""Detection of gray photos."""

from __future__ import annotations

import numpy as np
from PIL import Image


def is_gray(rgb: np.ndarray, threshold: float) -> bool:
    """Return whether 99 % of the photo has less chroma than `threshold`.

    This finds gray photos that are stored as RGB. Sepia photos have more chroma.

    Args:
        rgb: (H, W, 3) uint8, sRGB.
        threshold: CIE C*ab = sqrt(a*² + b*²), D65. With 0, no photo counts as gray.
    """
    from skimage.color import rgb2lab

    # 128x128 pixels tell as much as all of them. Block means average out the noise of sensors and scanners. Real color
    # does not average out: it is smooth at this scale (JPEG keeps only a quarter of it).
    height, width = rgb.shape[:2]
    blocks = Image.fromarray(rgb).reduce(max(1, round((height * width) ** 0.5 / 128)))
    lab = rgb2lab(np.asarray(blocks, np.float32) / 255)
    return bool(np.percentile(np.hypot(lab[..., 1], lab[..., 2]), 99) < threshold)
