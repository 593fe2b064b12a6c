"""Errors that the server answers requests with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.responses import JSONResponse


class Refusal(Exception):  # noqa: N818 - caused by the request or the load, not by us
    """An error response to a request: an HTTP status, a code for programs, and a sentence for people."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers = headers or {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Refusal, (self.status, self.code, self.message, self.headers)

    def response(self) -> JSONResponse:
        """Return the HTTP response."""
        from starlette.responses import JSONResponse  # late, because decoders refuse photos, too, and send none

        body = {"error": {"code": self.code, "message": self.message}}
        return JSONResponse(body, self.status, headers={"Cache-Control": "no-store", **self.headers})


def one_line(name: str) -> str:
    """Return a name that a client made up, fit for a message: its first 80 letters, and no line breaks."""
    return "".join(letter if letter.isprintable() else "?" for letter in name[:80])
