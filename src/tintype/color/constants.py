"""Constants of CIE L*a*b* (1976) for sRGB (IEC 61966-2-1) under D65, 2° observer, as in scikit-image.

This module does not need torch, because photos are also colored on machines without it.
"""

from __future__ import annotations

import numpy as np

XYZ_FROM_RGB = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
RGB_FROM_XYZ = tuple(tuple(row) for row in np.linalg.inv(XYZ_FROM_RGB).tolist())
WHITE = (0.95047, 1.0, 1.08883)
