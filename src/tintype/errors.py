"""The error that users can fix."""

from __future__ import annotations


class UserError(ValueError):
    """A param, a file or a machine that cannot be used. The message is one line: what happened, and what to do.

    Commands print it as ``error: ...`` and exit with status 2.
    """

    def __str__(self) -> str:
        return "\\n".join(super().__str__().splitlines())  # names of files and of params may hold line breaks
