"""The model that comes with the package."""

from __future__ import annotations

from pathlib import Path

from tintype.errors import UserError
from tintype.files import sha256_of

RELEASED = "tintype-everyday"
NAMES = ("everyday", RELEASED)
"""Names by which users may refer to it."""
ROOM = Path(__file__).parent / "released"
"""Folder of its ONNX file, the file's hash in ``sha256sum`` format, and its card.

`tintype.project.release` writes them.
"""


def path_of_released() -> Path:
    """Return the path of the released model's ONNX file after checking its SHA-256.

    Raises:
        UserError: the file or its hash is missing, or they do not match.
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
    """Return the SHA-256 of the released model's file, as of its release. Raises `UserError` if it is missing."""
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
    """Return the path of the released model's ONNX file."""
    return ROOM / f"{RELEASED}.onnx"


def hash_file() -> Path:
    """Return the path of the released model's hash."""
    return ROOM / f"{RELEASED}.onnx.sha256"


def card_file() -> Path:
    """Return the path of the released model's card."""
    return ROOM / "MODEL_CARD.md"
