"""Limits of the server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of one server."""

    bytes: int = 64_000_000
    """Maximum size of a photo's file."""
    pixels: int = 50_000_000
    """Maximum pixels of a photo, and of all photos that are decoded at a time."""
    side: int = 8
    """Minimum height and width, in pixels. Smaller photos show nothing that could have a color."""
    hints: int = 32
    """Maximum number of hints for a photo."""
    queue: int = 32
    """Photos on the server at a time: being received, waiting, being worked on, or with an answer being sent."""
    answers: int = 256_000_000
    """Bytes of answers that are sent at a time. A larger answer is sent alone."""
    timeout: float = 120.0
    """Seconds from the photo's arrival to its answer."""
    decoding: float = 30.0
    """Seconds of the processor's time for decoding a photo. Honest ones of 50 megapixels take five."""
    patience: float = 10.0
    """Seconds for a request's head, and for its body in addition to the time that it takes at `rate`."""
    rate: int = 20_000
    """Minimum rate of a body in bytes per second. Slower ones are given up on (as by Apache's mod_reqtimeout)."""
    transfer: float = 120.0
    """Seconds for a whole body to arrive, and for a whole answer to be received, at any rate."""
