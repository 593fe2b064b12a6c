"""What the server takes on, and for how long."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Of one server."""

    bytes: int = 64_000_000
    """Of a photo's file."""
    pixels: int = 50_000_000
    """Of a photo; so many at a time are decoded, of one photo or of several."""
    side: int = 8
    """The least height and width, pixels: less shows nothing that could have a color."""
    hints: int = 32
    """Of a photo."""
    queue: int = 32
    """Photos on the server at a time: those that come, that wait, that are worked on, and whose answers are sent."""
    answers: int = 256_000_000
    """Bytes of answers that are sent at a time (one of more is sent alone)."""
    timeout: float = 120.0
    """From the photo's arrival to its answer, seconds."""
    patience: float = 10.0
    """For a request's head, and beyond what its body takes at `rate`: seconds."""
    rate: int = 20_000
    """A body that comes more slowly is given up on, bytes a second (as Apache's mod_reqtimeout does)."""
    transfer: float = 120.0
    """For a whole body to come, and for a whole answer to be taken, at whatever rate: seconds."""
