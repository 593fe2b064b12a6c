"""The times of a file that was cut from a running clock, moved so that they begin at 0 and never jump.

The clock of a broadcaster or a camera may have been running for hours. Where two recordings were joined, it jumps.
"""

from __future__ import annotations

from fractions import Fraction

from av.packet import Packet

BACK, AHEAD = Fraction(1, 10), Fraction(10)
"""A stream's time that goes back or ahead by more than this, in seconds, is a jump, as for the program ``ffmpeg``."""


class Clock:
    """Moves the times of packets, which come in the order of the file.

    Args:
        begin: time of the file's first moment, in seconds.
    """

    def __init__(self, begin: Fraction) -> None:
        self._begin = begin
        self._last: dict[int, Fraction] = {}
        self.jumped = False
        """Whether any time has jumped so far."""

    def move(self, packet: Packet) -> None:
        """Change the times of a packet."""
        unit = packet.time_base
        if packet.dts is not None:
            time, before = packet.dts * unit - self._begin, self._last.get(packet.stream_index)
            if before is not None and not -BACK <= time - before <= AHEAD:
                lasts = (packet.duration or 1) * unit
                self._begin += time - before - lasts
                self.jumped, time = True, before + lasts
            self._last[packet.stream_index] = time
        shift = round(self._begin / unit)
        packet.pts, packet.dts = (at if at is None else at - shift for at in (packet.pts, packet.dts))
