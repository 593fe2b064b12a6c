"""Metrics of the server for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
OTHER = "other"


class Monitor:
    """The metrics of one server; names follow https://prometheus.io/docs/practices/naming."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "tintype_http_requests", "Answered requests", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "tintype_http_request_seconds",
            "From a request's head to the end of its answer",
            ["method", "route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.refusals = Counter(
            "tintype_refusals", "Requests that got an error, by its code", ["code"], registry=self.registry
        )
        self.photos = Gauge("tintype_photos", "Photos on the server now", registry=self.registry)
        self.steps = Histogram(
            "tintype_step_seconds", "What a photo's time went to", ["step"], buckets=SECONDS, registry=self.registry
        )
        self.batches = Histogram(
            "tintype_batch_photos",
            "Photos that the network took at a time",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=self.registry,
        )

    @contextmanager
    def step(self, name: str, times: dict[str, float]) -> Iterator[None]:
        """Time a step, and also store its seconds in `times`."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            times[name] = time.perf_counter() - begin
            self.steps.labels(name).observe(times[name])

    def page(self) -> tuple[bytes, str]:
        """Return the page that Prometheus reads, and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST


class Counted:
    """ASGI middleware that counts requests."""

    def __init__(self, app: ASGIApp, monitor: Monitor) -> None:
        self.app = app
        self.monitor = monitor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        status, begin = 500, time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            # Paths and methods that clients make up must not become labels, because each value is kept forever.
            route = getattr(scope.get("route"), "path", OTHER)
            method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST") else OTHER
            self.monitor.requests.labels(method, route, status).inc()
            self.monitor.seconds.labels(method, route).observe(time.perf_counter() - begin)
