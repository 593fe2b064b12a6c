"""Answers to requests that the server has no more time for, because it has been told to stop."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tintype.serving.errors import Refusal
from tintype.serving.guard import HEADERS
from tintype.serving.monitoring import Monitor


class Stoppable:
    """ASGI middleware that answers 503 when its request is canceled.

    uvicorn cancels the requests that are left at the end of its grace period, and would answer them with 500.
    """

    def __init__(self, app: ASGIApp, monitor: Monitor) -> None:
        self.app = app
        self.monitor = monitor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except asyncio.CancelledError:
            if begun or scope["type"] != "http":
                raise
            refusal = Refusal(503, "stopping", "the server is stopping; try again in a moment", {"Retry-After": "10"})
            self.monitor.refusals.labels(refusal.code).inc()
            response = refusal.response()
            response.headers.update(HEADERS)
            await response(scope, receive, send)
