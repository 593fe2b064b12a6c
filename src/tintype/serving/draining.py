"""Reading of request bodies that nobody wants, so that their clients see the answer."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Drained:
    """ASGI middleware that answers only when the request's body has been read.

    A server that answers and hangs up in the middle of a body resets the connection, and with it the answer: browsers
    report a network error, and proxies a 502 (RFC 9112, 9.6). A body that takes longer than `patience` seconds is given
    up on. A client that asks before it sends (Expect) is answered at once.
    """

    def __init__(self, app: ASGIApp, patience: float) -> None:
        self.app = app
        self.patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http" or "expect" in Headers(scope=scope):
            return await self.app(scope, receive, send)
        ended = False

        async def watched() -> Message:
            nonlocal ended
            message = await receive()
            ended = message["type"] == "http.disconnect" or not message.get("more_body", False)
            return message

        async def drained(message: Message) -> None:
            if message["type"] == "http.response.start" and not ended:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.patience):
                        while not ended:
                            await watched()
                if not ended:
                    MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        await self.app(scope, watched, drained)
