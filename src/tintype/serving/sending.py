"""Sending of colorized photos to clients."""

from __future__ import annotations

import secrets

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tintype.images.formats import WRITABLE
from tintype.serving.jobs import Answer

CHUNK = 256 * 1024
"""Bytes that are sent at a time. Each chunk waits until the client has taken the one before."""


class Sent(Response):
    """A response that keeps its place in the queue and its room in memory until it is sent or the client is gone."""

    def __init__(self, answer: Answer) -> None:
        format = WRITABLE[answer.format]
        self.place = answer.place
        super().__init__(
            answer.content,
            media_type=format.media_type,
            headers={
                "Content-Disposition": f'attachment; filename="color-{secrets.token_hex(4)}{format.suffixes[0]}"',
                "Cache-Control": "no-store",
                "Server-Timing": ", ".join(f"{step};dur={1000 * time:.1f}" for step, time in answer.seconds.items()),
            },
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        with self.place:
            content, self.body = self.body, b""
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            for start in range(0, len(content), CHUNK):
                chunk = content[start : start + CHUNK]
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body"})  # once the last chunk is taken
            del content
