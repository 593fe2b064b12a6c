"""The faults because of which a file yields no photo."""

from __future__ import annotations

NOT_AN_IMAGE = "not an image"
TRUNCATED = "truncated"
OVER_PIXEL_LIMIT = "over the pixel limit"
NO_FILE = "no such file"
UNREADABLE = "unreadable"


class UnreadablePhoto(Exception):  # noqa: N818 - a finding about the photo
    """A file that yields no photo.

    `reason` is one of this module's constants, or a line about this file: what it is, what it has too much of, or what
    the operating system answered. The system's error is then the `__cause__`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
