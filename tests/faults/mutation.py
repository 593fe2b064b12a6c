"""Fuzzing: how many cases there are, and how files are damaged.

`make test` tries some hundred cases of each kind. `make fuzz` sets TINTYPE_FUZZ to a number of cases, which the tests
share.
"""

import os
from collections.abc import Callable, Mapping
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

CASES = int(os.environ.get("TINTYPE_FUZZ", "0"))
FEW = 150
T = TypeVar("T")


def cases(*, share: float, few: int = FEW) -> Callable:
    """Return the settings of a test that gets a share of all cases of `make fuzz`, else a few, always the same."""
    return settings(
        max_examples=max(few, round(share * CASES)),
        derandomize=not CASES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )


def outcome(call: Callable[[], T], refusal: type[Exception]) -> T | None:
    """Return what a call returns, or None if it raises the documented error, which is one line."""
    try:
        return call()
    except refusal as error:
        message = str(error)
    assert message
    assert "\n" not in message
    return None


@st.composite
def mutated(draw: st.DrawFn, files: Mapping[str, bytes]) -> bytes:
    """Draw a file and damage it: bytes are changed, lost, repeated, or come from another file."""
    content = bytearray(files[draw(st.sampled_from(sorted(files)))])
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        kind = draw(st.sampled_from(("flip", "byte", "word", "cut", "lose", "repeat", "splice")))
        if kind == "flip" and content:
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "byte" and content:
            content[at] = draw(st.sampled_from((0, 1, 0x7F, 0x80, 0xFE, 0xFF)))
        elif kind == "word":
            value = draw(st.sampled_from((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)))
            content[at : at + 4] = value.to_bytes(4, draw(st.sampled_from(("big", "little"))))
        elif kind == "cut":
            del content[at:]
        elif kind == "lose":
            del content[at : at + draw(st.integers(1, 16))]
        elif kind == "repeat":
            part = content[at : at + draw(st.integers(1, 64))]
            content[at:at] = part * draw(st.integers(1, 8))
        else:
            other = files[draw(st.sampled_from(sorted(files)))]
            start = draw(st.integers(0, len(other) - 1))
            content[at:] = other[start:]
    return bytes(content)
