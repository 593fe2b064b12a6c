"""Backend that runs a generator with ONNX Runtime, without torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime

from tintype.errors import UserError
from tintype.inference.backends.soundness import finite
from tintype.inference.onnx_digest import check_digest
from tintype.inference.onnx_metadata import METADATA, Metadata

INPUT, OUTPUT = "lightness", "ab"

onnxruntime.disable_telemetry_events()


class OnnxGenerator:
    """A backend: see `tintype.inference.backends.Backend`.

    Args:
        model: an exported file or its content, or a folder of weights, which is exported first (this needs torch).
        device: ``auto`` (a GPU if this ONNX Runtime has one), ``cpu`` or ``cuda``.
    Raises:
        UserError: the model is not one of tintype's, or the device is not available.
    """

    def __init__(self, model: Path | bytes, device: str = "auto") -> None:
        providers = _providers(device)
        where = model if isinstance(model, Path) else "exported"
        if isinstance(model, Path) and model.is_dir():
            model = _exported(model)
        if isinstance(model, Path):
            check_digest(model)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors only, which are raised anyway
        options.enable_cpu_mem_arena = False  # else the memory of the largest batch is never freed
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # other threads are working meanwhile
        try:
            self.session = onnxruntime.InferenceSession(model, options, providers=providers)
        except Exception as error:  # ONNX Runtime's errors have no common base class
            raise UserError(f"{where}: not a readable ONNX file: {' '.join(str(error).split())[:200]}") from None
        try:
            self.metadata = Metadata.from_json(self.session.get_modelmeta().custom_metadata_map[METADATA])
            self._check_inputs()
        except (KeyError, ValueError):
            raise UserError(f"{where}: not a generator that `tintype export` has written") from None
        self.where = str(where)
        self.image_size = self.metadata.image_size
        self.stochastic = bool(self.metadata.dropouts)
        self.chroma_stride = self.metadata.chroma_stride
        self.card = self.metadata.card

    def __call__(self, lightness: np.ndarray, seed: int | None = None) -> np.ndarray:
        """See `Backend`. A seed draws other answers than it does with torch, from the same distribution."""
        masks = {} if seed is None else self._drawn(lightness.shape, seed)
        return finite(self.session.run([OUTPUT], {INPUT: lightness, **masks})[0], self.where)

    def _check_inputs(self) -> None:
        """Raise `ValueError` if the network's inputs and outputs are not those that the metadata promise."""
        wanted = {INPUT, *(dropout.input for dropout in self.metadata.dropouts)}
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        optional = self.session.get_overridable_initializers()
        given = [*inputs, *optional, *outputs]
        if (
            {one.name for one in [*inputs, *optional]} != wanted
            or [one.name for one in inputs] != [INPUT]
            or [one.name for one in outputs] != [OUTPUT]
            or any(one.type != "tensor(float)" or len(one.shape) != 4 for one in given)
        ):
            raise ValueError("other inputs or outputs")

    def _drawn(self, shape: tuple[int, ...], seed: int) -> dict[str, np.ndarray]:
        """Draw the masks of what dropout keeps, scaled up as in `torch.nn.Dropout`."""
        rng = np.random.default_rng(seed)
        height, width = (-(-side // self.metadata.stride) * self.metadata.stride for side in shape[2:])
        return {
            name: (rng.random((shape[0], channels, height // shrunk, width // shrunk)) >= p).astype(np.float32)
            / np.float32(1 - p)
            for name, p, channels, shrunk in self.metadata.dropouts
        }


def _exported(folder: Path) -> bytes:
    """Export a folder of weights, and return the content of the file."""
    try:
        from tintype.inference.onnx_export import as_onnx
    except ImportError as error:
        raise UserError(
            f"{folder}: backend onnx has to export these weights first, and {error.name} is not installed; allowed "
            "without it: a file made by `tintype export --onnx FILE`"
        ) from None
    return as_onnx(folder).content


def _providers(device: str) -> list[str]:
    """Return the names of the execution providers that run the network."""
    known = {"cpu": ["CPUExecutionProvider"]}
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        known["cuda"] = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    if device == "auto":
        return known.get("cuda", known["cpu"])
    if device not in known:
        raise UserError(f"device {device!r}: this ONNX Runtime has no such; allowed: {', '.join(['auto', *known])}")
    return known[device]
