"""`tintype serve`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

BackendName = Literal["auto", "torch", "onnx"]  # tintype.inference.backends', which would have to be imported


def serve(
    model: Annotated[
        str,
        typer.Option(
            help="everyday is the released model; or models:/NAME@ALIAS, models:/NAME/VERSION, an MLflow run, a folder "
            "of weights, an .onnx file."
        ),
    ] = "everyday",
    backend: Annotated[BackendName, typer.Option(help="What runs the model.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, or as torch names it.")] = "auto",
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 opens it to the network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")] = 8000,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Another name of this server, such as a proxy's: NAME[:PORT] by https, or http://NAME[:PORT]; may be "
            "repeated."
        ),
    ] = None,
    root_path: Annotated[
        str, typer.Option(help="Path under which a proxy publishes the server, and which it strips: /colors.")
    ] = "",
    max_pixels: Annotated[int, typer.Option(min=1, help="Refuse larger photos.")] = 50_000_000,
    queue: Annotated[int, typer.Option(min=1, help="Photos to queue; further ones get status 429.")] = 32,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds a photo may take.")] = 120,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Serve the web page that colors photos, and the HTTP API beside it. Ctrl-C ends it.

    Nothing is sent elsewhere, and no photo is kept. The API is described at /openapi.json, metrics for Prometheus are
    at /metrics.
    """
    import contextlib
    import re
    import webbrowser

    from tintype.errors import UserError
    from tintype.inference.backends import load_backend
    from tintype.inference.colorizer import Colorizer
    from tintype.inference.model_names import find_model

    try:
        from tintype.serving.app import create_app
        from tintype.serving.guard import Origin
        from tintype.serving.limits import Limits
        from tintype.serving.server import address_of, listen, server
    except ModuleNotFoundError as error:
        raise UserError(f"serve needs {error.name}, which is not installed: pip install 'tintype[serve]'") from None

    root_path = root_path.rstrip("/")
    if not re.fullmatch(r"(/[\w.~-]+)*", root_path, re.ASCII):
        raise UserError(f"--root-path {root_path}: allowed: a path such as /colors")
    for allowed in allow_host or []:
        if Origin.read(allowed) is None:
            raise UserError(f"--allow-host {allowed}: allowed: NAME, NAME:PORT, http://NAME or http://NAME:PORT")
    limits = Limits(pixels=max_pixels, queue=queue, timeout=timeout)
    with listen(host, port) as listening:
        located = find_model(model)
        colorizer = Colorizer(load_backend(located.path, backend, device))
        url = address_of(listening)
        typer.echo(f"{located.name}: {url} (Ctrl-C ends it)")
        if open_page:
            webbrowser.open(url)
        app = create_app(colorizer, located, limits, [host, *(allow_host or [])])
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again when all is done
            server(app, limits, root_path).run([listening])
