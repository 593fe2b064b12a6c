"""uvicorn with time limits for slow clients."""

from __future__ import annotations

import asyncio
import signal
import socket
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from tintype.errors import UserError
from tintype.serving.draining import Drained
from tintype.serving.errors import Refusal
from tintype.serving.guard import HEADERS
from tintype.serving.jobs import RETRY
from tintype.serving.limits import Limits

CONNECTIONS = 100
"""Connections that may be open at a time, in addition to those of the queue's photos."""
CROWDED = Refusal(
    503, "crowded", "too many connections; try again in a moment", {**HEADERS, **RETRY, "Connection": "close"}
).response()
"""Response to further connections."""
GRACE = 20
"""Seconds in which photos have to be finished once the server is told to stop."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on `host` and `port` (0: any free port). Raises `UserError`."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family)
    except socket.gaierror:
        raise UserError(f"--host {host}: no address of this machine; allowed: 127.0.0.1, 0.0.0.0, ...") from None
    except OSError as error:
        raise UserError(f"--host {host} --port {port}: {error.strerror}; allowed: another port, or 0") from None


def address_of(listening: socket.socket) -> str:
    """Return the URL by which a browser on this machine reaches the socket."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def server(app: FastAPI, limits: Limits, root_path: str = "") -> uvicorn.Server:
    """Return a server, ready to `run` until SIGINT or SIGTERM. Photos that are there by then are finished first.

    Those that are not within `GRACE` seconds are answered with 503. A second signal ends the process at once.

    Args:
        app: the application.
        limits: limits of the server.
        root_path: path under which a proxy publishes the server, such as ``/colors``. The proxy strips it.
    """
    config = uvicorn.Config(
        app,
        http=patient(limits),
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        root_path=root_path,
        timeout_graceful_shutdown=GRACE,
    )
    return _Server(config)


class _Server(uvicorn.Server):
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:  # asked a second time: do not wait for anything
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        super().handle_exit(sig, frame)


def patient(limits: Limits) -> type[H11Protocol]:
    """Return uvicorn's protocol with limits for clients that send or receive too slowly, or not at all.

    uvicorn itself would wait for them. A request's head must arrive within `limits.patience` seconds. An answer must be
    received at `limits.rate`, and within `limits.transfer` seconds. Connections over the limit get `CROWDED`; uvicorn's
    own limit would answer in plain text.
    """

    most = limits.queue + CONNECTIONS
    crowded = Drained(CROWDED, limits.patience)

    class Patient(H11Protocol):
        _head: asyncio.TimerHandle | None = None
        _answer: asyncio.TimerHandle | None = None
        _whole: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > most:
                self.app = crowded
            self._await_head()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._busy():
                self._stop(self._head)

        def on_response_complete(self) -> None:
            self._stop(self._whole)
            self._whole = None
            super().on_response_complete()
            self._await_head()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._await_reader()
            if self._whole is None:
                self._whole = self.loop.call_later(limits.transfer, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._stop(self._answer)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            for timer in (self._head, self._answer, self._whole):
                self._stop(timer)

        def _busy(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def _await_head(self) -> None:
            self._stop(self._head)
            if not self._busy():  # else another request came along with the one before
                self._head = self.loop.call_later(limits.patience, self.timeout_keep_alive_handler)

        def _await_reader(self) -> None:
            left = self.transport.get_write_buffer_size()

            def judge() -> None:
                if self.transport.get_write_buffer_size() > left - limits.rate * limits.patience:
                    self.transport.abort()
                else:
                    self._await_reader()

            self._answer = self.loop.call_later(limits.patience, judge)

        @staticmethod
        def _stop(timer: asyncio.TimerHandle | None) -> None:
            if timer is not None:
                timer.cancel()

    return Patient
