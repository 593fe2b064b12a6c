"""The web application: the page and its HTTP API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from contextlib import ExitStack, asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from tintype.images.formats import WRITABLE
from tintype.inference.colorizer import Colorizer
from tintype.inference.model_names import FoundModel
from tintype.serving.draining import Drained
from tintype.serving.errors import Refusal
from tintype.serving.guard import HEADERS, Guard
from tintype.serving.jobs import RETRY, Answer, Jobs
from tintype.serving.limits import Limits
from tintype.serving.monitoring import Counted, Monitor
from tintype.serving.options import OUTPUT_FORMATS, Options, Spot, read_options
from tintype.serving.sending import Sent
from tintype.serving.stopping import Stoppable
from tintype.serving.uploads import read_upload

HERE = Path(__file__).parent
PAGE, EXAMPLES = HERE / "page", HERE / "examples"
DEFAULTS = Limits()
GONE = 499
"""nginx's status for clients that hung up. Only the metrics read it."""


class Problem(BaseModel):
    """What went wrong."""

    class Error(BaseModel):
        """A word for programs, a sentence for people."""

        code: str
        message: str

    error: Error


class Allowed(BaseModel):
    """What a photo may have at most, and the formats of answers."""

    bytes: int
    pixels: int
    hints: int
    formats: list[str]


class Model(BaseModel):
    """The model that colors, its metrics on its test photos, and what its makers say of it, if they do."""

    name: str
    description: str
    limitations: str
    metrics: dict[str, float]
    image_size: int
    limits: Allowed


class Example(BaseModel):
    """A gray photo to try."""

    name: str
    url: str = Field(description="relative to the page's")
    credit: str


class Health(BaseModel):
    """Whether the server works."""

    status: str


def create_app(
    colorizer: Colorizer, located: FoundModel, limits: Limits = DEFAULTS, hosts: Collection[str] = ()
) -> FastAPI:
    """Create the application for uvicorn or another ASGI server. It needs a single process, for its model and queue.

    Args:
        colorizer: colors the photos. Requests override its `saturation` and `keep_color`, `limits` its `max_pixels`.
        located: the model, whose name and metrics are shown.
        limits: limits of the server.
        hosts: names of the server in addition to localhost, this machine's name and any address; see `Guard`.
    """
    monitor = Monitor()
    jobs = Jobs(colorizer, limits, monitor)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        jobs.close()

    app = FastAPI(
        title="tintype",
        summary="Color for gray photos.",
        version=version("tintype"),
        license_info={"name": "MIT", "identifier": "MIT"},
        docs_url=None,  # FastAPI's two pages load their scripts from other sites
        redoc_url=None,
        redirect_slashes=False,  # a proxy's clients would be sent to the address behind it
        lifespan=lifespan,
    )
    _report_errors(app, monitor)

    @app.post(
        "/api/colorize",
        summary="Colorize a photo",
        response_class=Response,
        responses=_photo_responses(),
        openapi_extra={"requestBody": _form()},
    )
    async def colorize(request: Request) -> Response:
        """The photo in color: of the same height and width, its lightness untouched.

        It is not kept, neither in memory nor on disk. Photo and answer have two minutes each on their way, and have to
        move on at 20 kB/s.
        """
        return Sent(await _outcome(await begun(request), request, limits.timeout))

    async def begun(request: Request) -> asyncio.Task[Answer]:
        with ExitStack() as stack:
            stack.enter_context(jobs.place())
            upload = await read_upload(request, limits)
            return jobs.start(upload.photo, read_options(upload.fields, limits), place=stack.pop_all())

    @app.get("/api/model", summary="Describe the model")
    async def model() -> Model:
        """The model's name, description and metrics, and what photos may be sent."""
        card = colorizer.backend.card
        return Model(
            name=located.name,
            description=card.description if card else "",
            limitations=card.limitations if card else "",
            metrics=located.metrics or (card.metrics if card else {}),
            image_size=colorizer.size,
            limits=Allowed(
                bytes=limits.bytes, pixels=limits.pixels, hints=limits.hints, formats=list(OUTPUT_FORMATS[1:])
            ),
        )

    @app.get("/api/examples", summary="List example photos")
    async def list_examples() -> list[Example]:
        """Gray photos to try."""
        return _examples()

    @app.head("/healthz", include_in_schema=False)
    @app.get("/healthz", summary="Whether the server works", responses={503: {"model": Health}})
    async def health(response: Response) -> Health:
        """200, or 503 where the network has been at one batch for longer than a photo's time."""
        stuck = jobs.busy_for() > limits.timeout
        response.status_code = 503 if stuck else 200
        return Health(status="stuck" if stuck else "ok")

    @app.head("/metrics", include_in_schema=False)
    @app.get(
        "/metrics",
        summary="Metrics for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        """In Prometheus' text format."""
        content, media_type = monitor.page()
        return Response(content, media_type=media_type)

    @app.head("/", include_in_schema=False)
    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(PAGE / "index.html")

    app.mount("/static", StaticFiles(directory=PAGE, check_dir=False), name="static")
    app.mount("/examples", StaticFiles(directory=EXAMPLES, check_dir=False), name="examples")
    app.add_middleware(Guard, monitor=monitor, hosts=hosts)
    app.add_middleware(Drained, patience=limits.patience)
    app.add_middleware(Stoppable, monitor=monitor)
    app.add_middleware(Counted, monitor=monitor)
    return app


async def _outcome(job: asyncio.Task[Answer], request: Request, timeout: float) -> Answer:
    """Wait for a job as long as the client does, and no longer than `timeout` seconds."""
    gone = asyncio.create_task(_hung_up(request))
    try:
        await asyncio.wait({job, gone}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if job.done():
            if isinstance(refusal := job.exception(), Refusal):
                # Its traceback would keep the photo in memory until the garbage collector runs.
                raise refusal.with_traceback(None)
            return job.result()
        if gone.done():
            raise ClientDisconnect
        raise Refusal(503, "timeout", f"the photo took longer than {timeout:g} seconds; try again later", RETRY)
    finally:
        gone.cancel()
        job.cancel()


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _examples() -> list[Example]:
    """Return the examples in the folder `EXAMPLES`, whose ``credits.json`` has [{"file", "name", "credit"}]."""
    known = EXAMPLES / "credits.json"
    listed = json.loads(known.read_text(encoding="utf-8")) if known.is_file() else []
    return [Example(name=one["name"], url=f"examples/{one['file']}", credit=one["credit"]) for one in listed]


def _report_errors(app: FastAPI, monitor: Monitor) -> None:
    """Answer every error with a `Problem`, whoever raised it."""

    def told(refusal: Refusal) -> Response:
        monitor.refusals.labels(refusal.code).inc()
        return refusal.response()

    @app.exception_handler(Refusal)
    async def refused(request: Request, error: Refusal) -> Response:
        return told(error)

    @app.exception_handler(HTTPException)
    async def no_such_route(request: Request, error: HTTPException) -> Response:
        code = {404: "not_found", 405: "wrong_method"}.get(error.status_code, "http_error")
        return told(Refusal(error.status_code, code, error.detail, error.headers))

    @app.exception_handler(ClientDisconnect)
    async def hung_up(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=GONE)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        response = told(Refusal(500, "fault", "internal server error; see the server's log"))
        response.headers.update(HEADERS)  # Starlette sends this response from outside the middleware
        return response


def _form() -> dict[str, Any]:
    """Return the request body of /api/colorize for OpenAPI."""
    fields = Options.model_json_schema()["properties"]
    fields["hints"]["contentSchema"]["items"] = Spot.model_json_schema()  # instead of a reference within Options
    fields["hints"]["default"] = "[]"  # as text, like all fields of a form
    photo = {"type": "string", "format": "binary", "description": "the photo's file"}
    schema = {"type": "object", "required": ["photo"], "properties": {"photo": photo, **fields}}
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}


def _photo_responses() -> dict[int | str, dict[str, Any]]:
    """Return the responses of /api/colorize for OpenAPI."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    problems = {
        400: "The form cannot be read, or has no photo.",
        403: "The request came from another site's page.",
        408: "The upload was too slow.",
        413: "The photo has too many bytes or pixels.",
        415: "Not a photo in an allowed format, or an animation.",
        421: "Unknown host name in the header Host.",
        422: "The photo is damaged, too small or too costly to decode, or an option cannot be used.",
        429: "The queue is full; retry after `Retry-After` seconds.",
        500: "Internal server error.",
        503: "Coloring took too long, there are too many connections, or the server is stopping.",
    }
    return {
        200: {"description": "The photo.", "content": {format.media_type: binary for format in WRITABLE.values()}},
        **{status: {"model": Problem, "description": told} for status, told in problems.items()},
    }
