"""The released model's weights for torch, as a starting point of training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tintype.color.spaces import SPACES
from tintype.config import Generator, validated
from tintype.errors import UserError
from tintype.inference.onnx_metadata import METADATA, Metadata
from tintype.inference.released import RELEASED, path_of_released
from tintype.models.timm_unet import TimmUNet

KEY = "generator.weights = 'everyday'"
"""The param that asks for these weights. Error messages start with it."""


def released_state_dict() -> dict[str, Tensor]:
    """Return the released model's weights by their names in the generator's state dict, as float32 on the CPU.

    They include the running statistics of batch norm. Matrices and convolutions were rounded to float16 once.

    Raises:
        UserError: the model is missing or damaged, or the package ``onnx`` is not installed.
    """
    return _read()[0]


def start_from_released(generator: nn.Module) -> None:
    """Load the released model's weights into a `TimmUNet`.

    Raises:
        UserError: the generator has another architecture; the message names the first key that differs. Also raised in
            the cases of `released_state_dict`.
    """
    assert isinstance(generator, TimmUNet)
    weights, released = _read()
    space = next(name for name, space in SPACES.items() if space is generator.space)
    if space != released.space:  # all other differences show in the weights
        raise _other_architecture("generator.space", repr(released.space), repr(space))
    shapes = {key: _shape(value) for key, value in weights.items()}
    expected = {key: _shape(value) for key, value in generator.state_dict().items() if not is_counter(key)}
    for key in {**expected, **shapes}:
        if shapes.get(key) != expected.get(key):
            raise _other_architecture(key, shapes.get(key, "missing"), expected.get(key, "missing"))
    generator.load_state_dict(weights)


def is_counter(key: str) -> bool:
    """Return whether a key of a state dict is batch norm's batch counter, which ONNX does not have."""
    return key.endswith(".num_batches_tracked")


def _read() -> tuple[dict[str, Tensor], Generator]:
    try:
        import onnx

        from tintype.inference.onnx_weights import read_weights
    except ImportError as error:
        raise UserError(f"{KEY}: {error.name} is not installed; pip install 'tintype[train]'") from None
    model = onnx.load(path_of_released())
    weights = {name: torch.from_numpy(value.copy()) for name, value in read_weights(model).items()}
    (metadata,) = (Metadata.from_json(entry.value) for entry in model.metadata_props if entry.key == METADATA)
    assert metadata.generator is not None
    return weights, validated(Generator, metadata.generator["generator"], where=RELEASED)


def _shape(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "a number"


def _other_architecture(key: str, theirs: str, ours: str) -> UserError:
    return UserError(
        f"{KEY}: {RELEASED} is of another architecture; the first difference is {key}: {theirs} there, {ours} here"
    )
