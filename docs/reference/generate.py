"""Write the reference pages that follow from the code: ``python docs/reference/generate.py`` (or ``make docs``).

A test fails where a page is not what this prints.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

HERE = Path(__file__).parent
GENERATED = "<!-- Written by docs/reference/generate.py; edit the code that it reads, then run `make docs`. -->\n"


def pages() -> dict[str, str]:
    """Every generated page by its file name."""
    return {"params.md": params(), "cli.md": cli(), "metrics.md": metrics(), "http-api.md": http_api()}


def params() -> str:
    """The sections of params.yaml, key by key."""
    from tintype.config import Project

    lines = [
        "# Params",
        "",
        "The keys of a project's `params.yaml`. An unknown key is an error, and so are values that make no sense",
        "together. `rows` names the rows; each overrides keys of `generator`, `discriminator`, `loss` and `training`.",
    ]
    for name, field in Project.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            lines += ["", f"## {field.alias or name}", "", f"{_first_line(kind)}", "", *_table(kind)]
            for inner_name, inner in kind.model_fields.items():
                if item := _model_in(inner.annotation):
                    lines += ["", f"### {name}.{inner_name}[]", "", _first_line(item), "", *_table(item)]
    return _page(lines)


def cli() -> str:
    """What `tintype COMMAND --help` says."""
    import click

    from tintype.cli import app

    command = typer.main.get_command(app)
    context = click.Context(command, info_name="tintype", terminal_width=100, max_content_width=100)
    lines = ["# Command line", "", "```text", command.get_help(context), "```"]
    for name, one in sorted(command.commands.items()):
        inner = click.Context(one, info_name=name, parent=context, terminal_width=100, max_content_width=100)
        lines += ["", f"## tintype {name}", "", "```text", one.get_help(inner), "```"]
    return _page(lines)


def metrics() -> str:
    """The metrics' registry."""
    from tintype.metrics.registry import LAB_PLANES, METRICS, SUFFIXES

    arrows = {"min": "lower", "max": "higher", None: "neither"}
    lines = [
        "# Metrics",
        "",
        "Each metric of a row is a key of `metrics/ROW.json`. A suffix names the feature network that made it:",
        ", ".join(f"`{suffix or '(none)'}` for `features.network: {network}`" for network, suffix in SUFFIXES.items())
        + ".",
        f"`{LAB_PLANES}` at the end: measured on scaled Lab planes (`evaluate.spaces: [rgb, lab_planes]`).",
        "",
        "| name | better | what it is | on Lab planes, too |",
        "|---|---|---|---|",
    ]
    for name, metric in METRICS.items():
        names = ", ".join(f"`{name}{suffix}`" for suffix in metric.by or ("",))
        planes = "yes" if metric.in_lab_planes else ""
        lines.append(f"| {names} | {arrows[metric.direction]} | {_cell(metric.description)} | {planes} |")
    return _page(lines)


def http_api() -> str:
    """The routes of `tintype serve`, from its OpenAPI description."""
    from tintype.inference.colorizer import Colorizer
    from tintype.inference.model_names import find_model
    from tintype.serving.app import create_app

    api = create_app(Colorizer.load(), find_model("everyday")).openapi()
    lines = ["# HTTP API", "", "Of `tintype serve`. The server describes itself at `/openapi.json`, too."]
    for path, operations in api["paths"].items():
        for method, operation in operations.items():
            lines += ["", f"## {method.upper()} {path}", "", operation.get("summary", "")]
            if text := operation.get("description"):
                lines += ["", text.strip()]
            body = operation.get("requestBody", {}).get("content", {})
            for media, content in body.items():
                lines += ["", f"Request: `{media}`", "", *_schema(content["schema"], api)]
            if answers := operation.get("responses"):
                lines += ["", "| status | meaning |", "|---|---|"]
                lines += [f"| {status} | {answer['description']} |" for status, answer in answers.items()]
    return _page(lines)


def _page(lines: list[str]) -> str:
    return GENERATED + "\n" + "\n".join(line.rstrip() for line in "\n".join(lines).splitlines()) + "\n"


def _table(model: type[BaseModel]) -> Iterator[str]:
    yield "| key | default | allowed | meaning |"
    yield "|---|---|---|---|"
    for name, field in model.model_fields.items():
        yield f"| `{field.alias or name}` | {_default(field)} | {_allowed(field)} | {_cell(field.description or '')} |"


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "`{}`"
    return "required" if field.default is PydanticUndefined else f"`{json.dumps(field.default)}`"


def _allowed(field: FieldInfo) -> str:
    kind = field.annotation
    options = [value for part in _parts(kind) for value in (get_args(part) if get_origin(part) is Literal else ())]
    if options:
        return _cell(", ".join(f"`{value}`" for value in options))
    named = " or ".join(dict.fromkeys(_name(part) for part in _parts(kind)))
    limits = [
        f"{sign} {getattr(limit, attribute)}"
        for limit in field.metadata
        for attribute, sign in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))
        if hasattr(limit, attribute)
    ]
    return ", ".join([named, *limits])


def _parts(kind: Any) -> list[Any]:
    """A union's members, and what a tuple is of."""
    inner = get_args(kind) if get_origin(kind) not in (None, Literal, dict) else ()
    return [part for one in inner for part in _parts(one)] if inner else [kind]


def _name(kind: Any) -> str:
    names = {type(None): "null", str: "text", bool: "true, false", float: "number", int: "whole number"}
    return names.get(kind, "list" if kind is Ellipsis else getattr(kind, "__name__", str(kind)))


def _model_in(kind: Any) -> type[BaseModel] | None:
    return next((part for part in _parts(kind) if isinstance(part, type) and issubclass(part, BaseModel)), None)


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _schema(schema: dict[str, Any], api: dict[str, Any]) -> Iterator[str]:
    if "$ref" in schema:
        schema = api["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    yield "| field | default | meaning |"
    yield "|---|---|---|"
    for name, value in schema.get("properties", {}).items():
        default = "required" if name in schema.get("required", ()) else f"`{json.dumps(value.get('default'))}`"
        yield f"| `{name}` | {default} | {_cell(value.get('description') or value.get('title', ''))} |"


if __name__ == "__main__":
    for name, text in pages().items():
        (HERE / name).write_text(text, encoding="utf-8")
