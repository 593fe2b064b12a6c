"""What the server says to requests that it does not serve."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse


class Refusal(Exception):  # noqa: N818 - the request's fault or the hour's, not ours
    """A request that gets an error: an HTTP status, a word for programs, and a sentence for people."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers = headers or {}

    def response(self) -> JSONResponse:
        """As it is sent."""
        body = {"error": {"code": self.code, "message": self.message}}
        return JSONResponse(body, self.status, headers={"Cache-Control": "no-store", **self.headers})
