"""Editing of YAML files that people write. Comments, order and style are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tintype.files import replacing


def read(path: Path) -> Any:
    """Return the file's mapping, with everything that `write` needs to write it as it was."""
    return _yaml().load(path.read_text(encoding="utf-8"))


def write(values: Any, path: Path) -> None:
    """Write what `read` returned, atomically."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        _yaml().dump(values, file)


def _yaml() -> Any:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(
        type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    return yaml
