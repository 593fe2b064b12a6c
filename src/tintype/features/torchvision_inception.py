"""torchvision's InceptionV3 with its ImageNet weights, which torcheval uses for FID. pytorch-fid uses other weights.

Source: https://github.com/pytorch/torcheval, torcheval/metrics/image/fid.py, `FIDInceptionV3`.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tintype.features.published_weights import PUBLISHED, fetch_weights
from tintype.files import SUMS, verified

WEIGHTS = "inception_torchvision.safetensors"
UNUSED = ("AuxLogits.", "fc.")
SIDE = 299  # pixels


class TorchvisionInception(nn.Module):
    """Embeds photos (B, 3, H, W) in [0, 1], of any size, as (B, 2048), the values of the last pooling."""

    num_features = 2048

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import inception_v3

        # transform_input=True is torchvision's setting for these weights. It expects photos normalized by ImageNet's
        # mean and deviation. torcheval does not normalize them, so this code does not either.
        self.model = inception_v3(transform_input=True, aux_logits=False, init_weights=False)
        self.model.fc = nn.Identity()

    def forward(self, rgb: Tensor) -> Tensor:
        """Scale to 299x299 without antialiasing, then embed."""
        return self.model(F.interpolate(rgb, (SIDE, SIDE), mode="bilinear", align_corners=False))


def make(out: Path) -> None:
    """Fetch the published weights and write them to `out`. Raises `UserError`."""
    weights = fetch_weights(PUBLISHED["inception_torchvision"], "features.fid_torchvision")
    save_file({name: value for name, value in weights.items() if not name.startswith(UNUSED)}, out / WEIGHTS)


def load(folder: Path) -> TorchvisionInception | None:
    """Return the network that `make` wrote, or None if `folder` does not contain it."""
    if not (folder / WEIGHTS).exists() and WEIGHTS not in (folder / SUMS).read_text(errors="replace"):
        return None
    weights = load_file(verified(folder / WEIGHTS, "features"))
    with torch.random.fork_rng(devices=[]):  # the constructor draws random weights first
        network = TorchvisionInception()
    network.model.load_state_dict(weights)
    return network
