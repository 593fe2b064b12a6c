"""Make a trained generator the released model: ``python -m tintype.project.release MODEL_FOLDER METRICS_JSON``.

This writes the three files of `tintype.inference.released.ROOM`: the model with fp16 weights, its hash, and the values
in ``MODEL_CARD.md``. The card's text is written by hand. Its front matter also goes into the model.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Annotated

import onnx
import typer
import yaml

from tintype.config import validated
from tintype.errors import UserError
from tintype.files import replacing
from tintype.inference.model_card import ModelCard
from tintype.inference.onnx_export import as_onnx
from tintype.inference.onnx_weights import read_weights
from tintype.inference.released import RELEASED, card_file, hash_file, model_file
from tintype.inference.released_weights import is_counter
from tintype.metrics.registry import ARROWS, metric_of
from tintype.models import load_generator, weights_hash

MAX_BYTES = 20_000_000
"""Maximum size of the model, which every installation downloads."""


def release(folder: Path, metrics: Path) -> ModelCard:
    """Write the released model, its hash and the values of its card. If something is wrong, write none of them.

    Args:
        folder: folder of the trained generator.
        metrics: flat JSON file of values by name. If ``gray.json`` is next to it, the card compares the two.
    Raises:
        UserError: a file cannot be read, a metric is unknown, or the model is too large.
    """
    text = card_file().read_text(encoding="utf-8")
    values, gray = _read_metrics(metrics), metrics.parent / "gray.json"
    words = yaml.safe_load(text.split("---")[1])
    card = validated(
        ModelCard,
        {**words, "name": RELEASED, "metrics": values, "weights_sha256": _hash(folder)},
        where=card_file().name,
    )
    exported = as_onnx(folder, name=RELEASED, precision="fp16", card=card)
    if len(exported.content) > MAX_BYTES:
        raise UserError(f"{folder}: {len(exported.content)} bytes as a released model; allowed: {MAX_BYTES}")
    _check_readable(exported.content, folder)

    digest = hashlib.sha256(exported.content).hexdigest()
    files = [
        f"- {model_file().name}: {len(exported.content) / 1e6:.1f} MB, SHA-256 `{digest}`",
        f"- the generator.safetensors that it was exported from: SHA-256 `{card.weights_sha256}`",
        f"- largest difference between the two, on noise: {exported.difference:.2f} Lab units",
    ]
    text = _filled(text, "metrics", _table(values, _read_metrics(gray) if gray.is_file() else {}))
    text = _filled(text, "files", files)
    for file, content in (
        (model_file(), exported.content),
        (hash_file(), f"{digest}  {model_file().name}\n".encode()),
        (card_file(), text.encode()),
    ):
        with replacing(file) as temporary:
            temporary.write_bytes(content)
    return card


def _check_readable(content: bytes, folder: Path) -> None:
    """Refuse a file that training could not start from: all weights must be there under their names."""
    weights = read_weights(onnx.load_from_string(content))
    for key in load_generator(folder)[0].state_dict():
        if key not in weights and not is_counter(key):
            raise UserError(f"{folder}: {key} is not in the exported file under this name")


def _read_metrics(path: Path) -> dict[str, float]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no metrics: {error}") from None


def _hash(folder: Path) -> str:
    try:
        return weights_hash(folder)
    except OSError as error:
        raise UserError(f"{folder}: no trained generator: {error.strerror}") from None


def _table(values: dict[str, float], gray: dict[str, float]) -> list[str]:
    lines = [f"| metric | {RELEASED} | gray |", "|---|---|---|"]
    for name, value in values.items():
        metric = metric_of(name)
        beside = f"{gray[name]:.{metric.digits}f}" if name in gray else ""
        lines.append(f"| {name}{ARROWS[metric.direction]} | {value:.{metric.digits}f} | {beside} |")
    return lines


def _filled(text: str, part: str, lines: list[str]) -> str:
    """Return the card with other lines between ``<!-- part -->`` and ``<!-- end of part -->``."""
    begin, end = f"<!-- {part} -->\n", f"<!-- end of {part} -->"
    pattern = re.compile(f"{begin}.*?{end}", re.DOTALL)
    assert len(pattern.findall(text)) == 1
    return pattern.sub(lambda _: begin + "\n".join(lines) + "\n" + end, text)


def main(
    model_folder: Annotated[Path, typer.Argument(help="With generator.safetensors and generator.json.")],
    metrics_json: Annotated[Path, typer.Argument(help="Its metrics on test photos, such as metrics/ROW.json.")],
) -> None:
    """Make a trained generator the released model."""
    try:
        card = release(model_folder, metrics_json)
    except UserError as error:
        sys.exit(f"error: {error}")
    typer.echo(f"{model_file()}: {card.name} {card.version}, {model_file().stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    typer.run(main)
