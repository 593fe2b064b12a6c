"""Saved generators: safetensors and a JSON card. Reading them runs no code."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from tintype.config import Generator, Section, validated
from tintype.files import SUMS, replacing, require_room, sha256_of, verified, write_sums

WEIGHTS = "generator.safetensors"
CARD = "generator.json"


class GeneratorCard(Section):
    """The information needed to rebuild a generator and to use it."""

    generator: Generator
    classes: list[str]
    """Names in the order of the class logits. Empty without a class branch."""
    image_size: int = Field(ge=1, le=1024)
    """Side of the training photos, pixels."""
    weights_sha256: str | None = None
    """SHA-256 of ``generator.safetensors``. None in folders of earlier versions, whose weights are not checked."""


def save_generator(
    folder: Path, generator: nn.Module, *, config: Generator, classes: list[str], image_size: int
) -> None:
    """Write ``generator.safetensors``, ``generator.json`` and their hashes to `folder`, each completely or not at all.

    Args:
        folder: created if it does not exist.
        generator: as built by `build_generator` from `config`, ``len(classes)`` and `image_size`, on any device.
        config: its section of the params.
        classes: names of the class branch's classes. [] without a class branch.
        image_size: side of the training photos, pixels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # contiguous, because safetensors refuses channels_last
    weights = {name: value.detach().cpu().contiguous() for name, value in generator.state_dict().items()}
    require_room(folder, sum(value.nbytes for value in weights.values()), WEIGHTS)
    with replacing(folder / WEIGHTS) as temporary:
        save_file(weights, temporary)
    card = GeneratorCard(generator=config, classes=classes, image_size=image_size, weights_sha256=weights_hash(folder))
    with replacing(folder / CARD) as temporary:
        temporary.write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
    write_sums(folder)


def load_generator(folder: Path, device: str | torch.device = "cpu") -> tuple[nn.Module, GeneratorCard]:
    """Return the generator saved in `folder`, in eval mode on `device`, and its card.

    Raises:
        FileNotFoundError: one of the two files is missing.
        ValueError: the files are damaged or do not belong together.
    """
    from tintype.models import build_generator

    for name in (CARD, WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name}: no such file; a saved generator is {WEIGHTS} and {CARD}")
        if (folder / SUMS).exists():  # models of earlier versions have none
            verified(folder / name, f"train@{folder.name}")
    try:
        card = validated(GeneratorCard, json.loads((folder / CARD).read_text(encoding="utf-8")), where=CARD)
        with torch.device("meta"):  # needs no memory, time or random numbers for weights that are replaced at once
            generator = build_generator(card.generator, len(card.classes), card.image_size)
        if card.weights_sha256 and card.weights_sha256 != (found := weights_hash(folder)):
            raise ValueError(f"{WEIGHTS} is damaged: its SHA-256 is {found}, should be {card.weights_sha256} by {CARD}")
        # Copy, so that torch aligns the weights. Their position in the file must not affect the last bits of results.
        weights = {name: value.clone() for name, value in load_file(folder / WEIGHTS).items()}
        generator.load_state_dict(weights, assign=True)
        if odd := next((name for name, value in weights.items() if not value.isfinite().all()), None):
            raise ValueError(f"{WEIGHTS}: {odd} holds NaN or infinity")
    except (SafetensorError, RuntimeError, ValueError) as error:  # RecursionError is a RuntimeError
        raise ValueError(f"{folder}: not a saved generator: {' '.join(str(error).split())[:300]}") from None
    return generator.to(device).eval(), card


def weights_hash(folder: Path) -> str:
    """Return the SHA-256 of ``generator.safetensors`` in hexadecimal, which identifies a trained generator."""
    return sha256_of(folder / WEIGHTS)
