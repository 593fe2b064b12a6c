"""A hash inside an ONNX file, over the rest of the file, so that a damaged file is not used.

An ONNX file is a protobuf message. Its last bytes are an entry of the message's metadata that holds the hash. Other
programs read it as one more entry.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from tintype.errors import UserError

KEY = b"sha256"
HEX = 64
"""Length of a SHA-256 in hexadecimal."""
PROPERTY = b"\x72"
"""Tag of the field `metadata_props` of ONNX's ``ModelProto``: number 14, with a length."""


def with_digest(content: bytes) -> bytes:
    """Return the content of an ONNX file with the hash of all that is before it."""
    return content + _entry(hashlib.sha256(content).hexdigest())


def check_digest(file: Path) -> None:
    """Compare an ONNX file with the hash in it. Files without one, of earlier versions, pass.

    Raises:
        UserError: the file is damaged, or another program has changed it.
        OSError: the file cannot be read.
    """
    length = len(_entry("0" * HEX))
    digest = hashlib.sha256()
    tail = b""
    with file.open("rb") as opened:
        while part := opened.read(1 << 20):
            tail += part
            digest.update(tail[:-length])
            tail = tail[-length:]
    found = digest.hexdigest()
    if tail[:-HEX] == _entry(found)[:-HEX] and tail != _entry(found):
        held = tail[-HEX:].decode("ascii", "replace")
        raise UserError(
            f"{file}: was damaged or changed after its export: the SHA-256 of its content is {found}, should be "
            f"{held}; export it again, or copy it again from where it came"
        )


def _entry(digest: str) -> bytes:
    """Return the entry: a ``StringStringEntryProto`` with the fields key (1) and value (2)."""
    value = digest.encode("ascii")
    pair = b"\x0a" + bytes([len(KEY)]) + KEY + b"\x12" + bytes([len(value)]) + value
    return PROPERTY + bytes([len(pair)]) + pair
