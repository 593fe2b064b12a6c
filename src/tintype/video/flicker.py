"""Removal of flicker: the chroma of a video, smoothed along the motion in it.

A network that sees one frame at a time answers noise, and the slightest motion, with different colors. So each frame's
chroma is averaged with that of the previous frames, moved along with the picture, wherever the picture still looks the
same. Where it does not, and after a cut, averaging starts over.

The average is the temporal accumulation of rendering (Schied et al. 2017, doi:10.1145/3105762.3105770, section 4.1).
The motion is an optical flow (Kroeger et al. 2016, arXiv:1603.03590) at the network's size, where it takes hardly any
time.
"""

from __future__ import annotations

import numpy as np

from tintype.errors import UserError

MEMORY = 0.5
"""Seconds over which colors are averaged."""
ALIKE = 3.0
"""How much the L* of a place may change while it still counts as the same: the standard deviation of a Gaussian."""
CUT = 0.4
"""A cut is where the previous frame, moved, leaves more than this share of a frame's contrast unexplained.

Measured on 168 photos, drawn and real: above 0.57 in 99% of all cuts; below 0.11 in 99% of all pans by a 20th of the
width per frame, with noise and a pumping exposure.
"""
FLAT = 2.0
"""Minimum standard deviation of a frame's L*. Frames with a smaller one, such as black ones, count as having this."""


class SteadyChroma:
    """Takes frames in order, and returns the smoothed chroma of each."""

    def __init__(self) -> None:
        try:
            import cv2
        except ImportError:
            raise UserError("videos: OpenCV is not installed; pip install 'tintype[video]'") from None
        self._cv2 = cv2
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._time = 0.0
        self._seen: np.ndarray | None = None
        self._chroma: np.ndarray
        self._frames: np.ndarray

    def __call__(self, lightness: np.ndarray, ab: np.ndarray, time: float) -> np.ndarray:
        """Smooth the chroma of the next frame.

        Args:
            lightness: (h, w) float32, L*, as the network saw it.
            ab: (2, h, w) float32, as the network predicted it.
            time: time at which the frame is shown, in seconds.
        Returns:
            The smoothed chroma, (2, h, w) float32.
        """
        chroma = np.ascontiguousarray(ab.transpose(1, 2, 0), np.float32)
        frames: np.ndarray = np.zeros(lightness.shape, np.float32)
        if self._seen is not None and self._seen.shape == lightness.shape:
            before, past, counted = self._moved(lightness)
            likeness = _likeness(lightness, before)
            if likeness is not None:
                most = MEMORY / max(time - self._time, MEMORY / 100)
                frames = likeness * np.minimum(counted, most)
                chroma = (chroma + frames[..., None] * past) / (1 + frames[..., None])
        self._seen, self._chroma, self._frames, self._time = lightness, chroma, frames + 1, time
        return np.ascontiguousarray(chroma.transpose(2, 0, 1))

    def _moved(self, lightness: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the previous frame, its chroma and its counts, with each pixel moved to where it is now."""
        cv2 = self._cv2
        assert self._seen is not None
        now, then = (np.clip(plane * 2.55, 0, 255).astype(np.uint8) for plane in (lightness, self._seen))
        flow = self._flow.calc(now, then, None)  # type: ignore[call-overload]
        height, width = lightness.shape
        x = np.arange(width, dtype=np.float32) + flow[..., 0]
        y = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
        before, past, counted = (
            cv2.remap(plane, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            for plane in (self._seen, self._chroma, self._frames)
        )
        inside = (x > -1) & (x < width) & (y > -1) & (y < height)
        return before, past, counted * inside


def _likeness(now: np.ndarray, before: np.ndarray) -> np.ndarray | None:
    """Return how certain it is that each place is unchanged, (h, w) in [0, 1], or None if this is another scene.

    A change of exposure (old films pump) is removed first, as a gain and an offset.
    """
    centered, was = now - now.mean(), before - before.mean()
    gain = (centered * was).mean() / max((was**2).mean(), 1e-6)
    left = centered - np.clip(gain, 0.5, 2) * was
    if (left**2).mean() > CUT * max((centered**2).mean(), FLAT**2):
        return None
    return np.exp(-0.5 * (left / ALIKE) ** 2)
