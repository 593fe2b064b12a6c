"""The model that comes with the package."""

from __future__ import annotations

from pathlib import Path

from tintype.errors import UserError
from tintype.files import sha256_of

RELEASED = "tintype-everyday"
NAMES = ("everyday", RELEASED)
"""By which users may call it."""
ROOM = Path(__file__).parent / "released"
"""Holds its ONNX file, the file's hash in ``sha256sum``'s form, and its card. `tintype.project.release` fills it."""


def path_of_released() -> Path:
    """The released model's ONNX file, its SHA-256 checked.

    Raises:
        UserError: the file or its hash is missing, or they do not belong together.
    """
    file, digest = model_file(), released_hash()
    try:
        found = sha256_of(file)
    except OSError:
        raise _missing() from None
    if found != digest:
        raise UserError(
            f"{RELEASED}: {file} is damaged: its SHA-256 is {found}, should be {digest}; install tintype again, or "
            "choose another --model"
        )
    return file


def released_hash() -> str:
    """SHA-256 of the released model's file, as it was when it was released. Raises `UserError` if it is missing."""
    try:
        return hash_file().read_text(encoding="ascii").split()[0]
    except (OSError, ValueError, IndexError):
        raise _missing() from None


def _missing() -> UserError:
    return UserError(
        f"{RELEASED}: {model_file()} or its hash is missing from this installation; install tintype again, or choose "
        "another --model"
    )


def model_file() -> Path:
    """Where the released model lies."""
    return ROOM / f"{RELEASED}.onnx"


def hash_file() -> Path:
    """Where its hash lies."""
    return ROOM / f"{RELEASED}.onnx.sha256"


def card_file() -> Path:
    """Where its card lies."""
    return ROOM / "MODEL_CARD.md"
