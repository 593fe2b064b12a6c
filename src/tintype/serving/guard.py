"""Access control: every page that the user's browser shows can reach a server on this computer."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tintype.serving.errors import Refusal
from tintype.serving.monitoring import Monitor

SAFE = ("GET", "HEAD", "OPTIONS")
PORTS = {"http": 80, "https": 443}
HEADERS = {
    # blob: and data: are the photos in the page.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # revalidate each time: tomorrow, another version may serve its page here
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""Headers of every response (https://cheatsheetseries.owasp.org/cheatsheets/HTTP_Headers_Cheat_Sheet.html)."""


class Origin(NamedTuple):
    """What a browser calls the origin of a page (RFC 6454)."""

    scheme: str
    host: str
    port: int

    @classmethod
    def read(cls, text: str) -> Origin | None:
        """Read the header Origin, another URL, or NAME[:PORT] (by https). Returns None if it names no web origin."""
        try:
            url = urlsplit(text if "://" in text else f"https://{text}")
            return cls(url.scheme, url.hostname, url.port or PORTS[url.scheme]) if url.hostname else None
        except (ValueError, KeyError):
            return None


class Guard:
    """ASGI middleware that runs two checks on requests, and adds `HEADERS` to responses.

    First, the header Host must be an address, localhost, this machine's name or one of `hosts`. Otherwise somebody
    else's name has been pointed here (DNS rebinding), and a foreign page would count as ours. Second, requests that
    change or cost something are refused if they come from other sites' pages. Browsers mark those requests
    (Sec-Fetch-Site, Origin). Our own page has the origin of this request, or one of `hosts`, because most proxies put
    another Host in the place of the browser's.

    Args:
        app: the application behind.
        monitor: counts the refusals.
        hosts: names under which the server is known, as NAME[:PORT] (by https) or as an origin (http://NAME[:PORT]).
    """

    def __init__(self, app: ASGIApp, monitor: Monitor, hosts: Collection[str] = ()) -> None:
        self.app = app
        self.monitor = monitor
        name = socket.gethostname().lower()
        self.origins = {origin for host in hosts if (origin := Origin.read(host))}
        self.hosts = {"localhost", name, f"{name}.local", *(origin.host for origin in self.origins)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if refusal := self._refusal(scope["method"], scope["scheme"], Headers(scope=scope)):
            self.monitor.refusals.labels(refusal.code).inc()
            return await refusal.response()(scope, receive, with_headers)
        await self.app(scope, receive, with_headers)

    def _refusal(self, method: str, scheme: str, headers: Headers) -> Refusal | None:
        asked = Origin.read(f"{scheme}://{headers.get('host', '')}")
        if asked is None or not self._known(asked.host):
            return Refusal(421, "wrong_host", "unknown host name; `tintype serve --allow-host NAME` allows another")
        if method in SAFE:
            return None
        foreign = headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
        if foreign or ("origin" in headers and Origin.read(headers["origin"]) not in {asked, *self.origins}):
            return Refusal(
                403,
                "other_site",
                "requests from other sites' pages are not allowed; behind a proxy, `tintype serve --allow-host` names "
                "the page's own host and port",
            )
        return None

    def _known(self, name: str) -> bool:
        if name in self.hosts or name.endswith(".localhost"):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True
