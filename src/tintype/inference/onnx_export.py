"""Export of trained generators to ONNX: one file for any batch and any size, run by ONNX Runtime without torch.

The file's network takes ``lightness`` (B, 1, H, W) float32, L* in [0, 100], and returns ``ab`` (B, 2, H, W) float32 in
Lab units. Everything else about it is in the file's metadata, see `tintype.inference.onnx_metadata.Metadata`.
"""

from __future__ import annotations

import io
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from tintype.errors import UserError
from tintype.files import replacing
from tintype.inference.backends.onnx import INPUT, OUTPUT, OnnxGenerator
from tintype.inference.backends.pytorch import LabGenerator
from tintype.inference.model_card import ModelCard
from tintype.inference.onnx_digest import with_digest
from tintype.inference.onnx_metadata import METADATA, Dropout, Metadata
from tintype.models import load_generator
from tintype.models.class_branch import ClassBranch
from tintype.models.double_conv import DoubleConvNet
from tintype.models.resnet import ResNet18UNet
from tintype.models.timm_unet import TimmUNet
from tintype.models.unet import UNet

OPSET = 18
Precision = Literal["fp32", "fp16"]
PARITY = {"fp32": 1e-2, "fp16": 1.0}
"""Largest allowed difference from torch, in Lab units, by the precision of the weights. Other files are not written.

Saturated untrained networks reach 1e-3 in fp32. In fp16, untrained networks with strong colors reach 0.24 (on average
0.02). Two trained ones with EfficientNet-Lite0's encoder reach 0.05 on noise and 0.34 on photos (on average 0.01).
"""


class Exported(NamedTuple):
    """The content of an ONNX file."""

    content: bytes
    difference: float
    """Largest difference from torch's answers, in Lab units."""


def export_onnx(folder: Path, file: Path, *, name: str | None = None, precision: Precision = "fp32") -> float:
    """Write the generator saved in `folder` as an ONNX file: see `as_onnx`.

    Args:
        folder: with ``generator.safetensors`` and ``generator.json``.
        file: file to write, atomically. An existing file is replaced.
        name: display name of the model. None: the folder's name.
        precision: see `as_onnx`.
    Returns:
        The largest difference from torch's answers, in Lab units.
    Raises:
        UserError: there is no saved generator, no ``onnx`` package, or the file cannot be written.
    """
    exported = as_onnx(folder, name=name, precision=precision)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as temporary:
            temporary.write_bytes(exported.content)
    except OSError as error:
        raise UserError(f"{file}: cannot be written: {error.strerror or error}") from None
    return exported.difference


def as_onnx(
    folder: Path, *, name: str | None = None, precision: Precision = "fp32", card: ModelCard | None = None
) -> Exported:
    """Return the generator saved in `folder` as the content of an ONNX file, compared with torch's answers.

    The weights keep their names in the generator's state dict.

    Args:
        folder: with ``generator.safetensors`` and ``generator.json``.
        name: display name of the model. None: the folder's name.
        precision: of the stored weights. fp16 halves the file. The network computes in float32 either way.
        card: model card of a released model.
    Raises:
        UserError: there is no saved generator, no ``onnx`` package, or fp16 is not precise enough for this generator.
    """
    try:
        import onnx

        from tintype.inference.onnx_weights import rename_weights, store_as_float16
    except ImportError:
        raise UserError("export: the package onnx is not installed; pip install 'tintype[export]'") from None
    try:
        generator, saved = load_generator(folder)
    except (FileNotFoundError, ValueError) as error:
        raise UserError(str(error)) from None
    network, side = LabGenerator(generator, saved.generator.space).eval(), saved.image_size
    photos = [_noise(2, side, side), _noise(1, side + 5, 2 * side + 1)]
    with torch.inference_mode():
        answers = [network(torch.from_numpy(photo)).numpy() for photo in photos]

    stride = _stride(generator)
    dropouts = _made_exportable(generator)
    model = onnx.load_from_string(_traced(network, dropouts, side, stride))
    weights = generator.state_dict()
    rename_weights(model, {f"network.generator.{key}": key for key in weights})
    if precision == "fp16":
        store_as_float16(model, weights)
    drops = []
    for layer, given in zip(dropouts, model.graph.input[1:], strict=True):
        drops.append(Dropout(given.name, layer.p, layer.channels, layer.shrunk))
        # an input with a default value is optional: without a seed, nothing is dropped
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), given.name))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 2  # the exporter loses it
    metadata = Metadata(
        name or folder.resolve().name,
        side,
        stride,
        tuple(drops),
        version("tintype"),
        network.chroma_stride,
        generator=saved.model_dump(mode="json"),
        card=card,
    )
    onnx.helper.set_model_props(model, {METADATA: metadata.to_json()})
    model.producer_name, model.producer_version = "tintype", metadata.version
    content = with_digest(model.SerializeToString())

    exported = OnnxGenerator(content, "cpu")
    pairs = zip(photos, answers, strict=True)
    difference = max(float(np.abs(exported(photo) - answer).max()) for photo, answer in pairs)
    if not difference <= PARITY[precision]:
        if precision == "fp16":
            raise UserError(
                f"precision fp16: changes the answers of {folder} by up to {difference:.2g} Lab units; allowed: "
                f"{PARITY[precision]:g}, or fp32"
            )
        raise RuntimeError(f"{folder}: the exported network differs from torch's by {difference:.2g} Lab units")
    return Exported(content, difference)


def _noise(batch: int, height: int, width: int) -> np.ndarray:
    """Return random lightness, on which any difference between two networks shows."""
    return np.random.default_rng(0).uniform(0, 100, (batch, 1, height, width)).astype(np.float32)


def _stride(generator: nn.Module) -> int:
    """Return the number to whose multiples the generator pads its input."""
    if isinstance(generator, ResNet18UNet | TimmUNet):
        return 32
    return next(module.stride for module in generator.modules() if isinstance(module, UNet | DoubleConvNet))


def _made_exportable(generator: nn.Module) -> list[_Keep]:
    """Replace the modules that ONNX does not support. Return those of dropout, in the order of the modules."""
    if isinstance(generator, UNet) and generator.class_branch is not None:
        generator.add_module("class_branch", _AnySizeClassBranch(generator.class_branch))
    keeps = []
    for module in list(generator.modules()):
        if parametrize.is_parametrized(module, "weight"):  # spectral norm: keep its result
            parametrize.remove_parametrizations(module, "weight")
        for name, child in module.named_children():
            if isinstance(child, nn.Dropout) and child.p > 0:
                keeps.append(_Keep(child.p))
                setattr(module, name, keeps[-1])
    return keeps


def _traced(network: LabGenerator, dropouts: list[_Keep], image_size: int, stride: int) -> bytes:
    """Return the network as the content of an ONNX file.

    This uses torch's tracing exporter. The exporter based on torch.export specializes on grids of one pixel, which the
    bottleneck has for photos no larger than the stride. So none of its files would work for every size.
    """
    side = -(-image_size // stride) * stride
    lightness = torch.zeros(2, 1, side, side + stride)
    with torch.inference_mode():
        network(lightness)  # each dropout records its input
    masks = [layer.seen.clone() for layer in dropouts]
    for layer in dropouts:
        layer.channels, layer.shrunk = layer.seen.shape[1], side // layer.seen.shape[2]
    names = [f"keep_{index}" for index in range(len(masks))]
    sizes, content = {0: "batch", 2: "height", 3: "width"}, io.BytesIO()
    any_shape = {name: {axis: f"{name}_{axis}" for axis in range(4)} for name in names}
    traced = _AnySize(network, dropouts, stride).eval()
    # Weights keep their names only if batch norm is not folded into convolutions and equal weights are not merged.
    # (ONNX Runtime folds batch norm when it loads a file, so speed is the same.) The exporter does both unless the
    # network is in training mode. So only this outermost module claims to be; the layers inside stay in eval mode.
    traced.training = True
    with warnings.catch_warnings():  # of deprecation, and of the condition in `padded`, which is constant here
        warnings.simplefilter("ignore")
        torch.onnx.export(
            traced,
            (lightness, *masks),
            content,  # type: ignore[arg-type]  # files too
            dynamo=False,
            training=torch.onnx.TrainingMode.PRESERVE,
            opset_version=OPSET,
            input_names=[INPUT, *names],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: sizes, OUTPUT: sizes, **any_shape},
        )
    return content.getvalue()


class _AnySize(nn.Module):
    """Pads as `tintype.models.blocks.padded` does, but always, because a traced file has no conditions."""

    def __init__(self, network: nn.Module, dropouts: list[_Keep], stride: int) -> None:
        super().__init__()
        self.network, self.dropouts, self.stride = network, dropouts, stride

    def forward(self, lightness: Tensor, *masks: Tensor) -> Tensor:
        """Predict chroma: (B, 1, H, W), one mask per dropout -> (B, 2, H, W)."""
        for layer, mask in zip(self.dropouts, masks, strict=True):
            layer.mask = mask
        height, width = lightness.shape[-2:]
        below, right = -height % self.stride, -width % self.stride
        return self.network(F.pad(lightness, (0, right, 0, below), mode="replicate"))[..., :height, :width]


class _Keep(nn.Module):
    """Dropout whose mask comes from outside."""

    channels: int
    shrunk: int
    """How many times smaller than the photo the layer's grid is."""
    seen: Tensor
    mask: Tensor | None = None

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Apply the mask: (B, C, H, W) -> (B, C, H, W). Without a mask, record the input."""
        if self.mask is None:
            self.seen = x
            return x
        return x * self.mask


class _AnySizeClassBranch(nn.Module):
    """Computes what a `ClassBranch` passes to the decoder, with operations that ONNX supports for any size.

    It does not compute class logits. ONNX has no adaptive pooling. But pooling is linear: along each axis, it is a
    matrix that follows from the size.
    """

    def __init__(self, branch: ClassBranch) -> None:
        super().__init__()
        self.blocks, self.fusion, self.side = branch.blocks, branch.fusion, branch.side

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """Return what the decoder gets, (B, c_in, H, W) -> (B, 8f), and None in place of class logits."""
        x = self.blocks(x)
        rows, columns = (_pooling(length, self.side) for length in x.shape[-2:])
        return self.fusion((rows @ x @ columns.T).flatten(1)), None


def _pooling(length: Any, side: int) -> Tensor:
    """Return `torch.nn.functional.adaptive_avg_pool1d` as a matrix (side, length) whose rows sum to 1."""
    cell, pixel = torch.arange(side)[:, None], torch.arange(length)
    start, end = cell * length // side, ((cell + 1) * length + side - 1) // side
    return ((pixel >= start) & (pixel < end)).float() / (end - start)
