"""`python -m benchmarks.feature_damage PHOTOS`: how the metrics of EfficientNet-Lite2 answer to known damage of color.

Prints two tables. Lightness stays each photo's own; only chroma is damaged, and results are 8-bit sRGB, as in every
evaluation.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur
from tqdm import tqdm

from tintype.color.colorfulness import colorfulness
from tintype.color.lab import lab_to_rgb, rgb_to_lab, to_uint8
from tintype.config import Features
from tintype.features import load_features, make_features
from tintype.features.network import FeatureNetwork
from tintype.metrics.color import ciede2000
from tintype.metrics.distributions import FeatureDistances

CPU = torch.device("cpu")
BATCH = 25
COUNTS = (50, 100, 200, 400)
DRAWS = 10

Damage = Callable[[Tensor, Tensor], Tensor]
"""Chroma ab of some photos (B, 2, H, W) and of as many others -> damaged chroma."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feature_damage", description=__doc__)
    parser.add_argument("photos", type=Path, help="a folder of color photos")
    parser.add_argument("--size", type=int, default=160, help="pixels; photos are cropped to squares of so many")
    chosen = parser.parse_args()
    torch.set_grad_enabled(False)
    with tempfile.TemporaryDirectory() as folder:
        make_features(Features.model_validate({}), Path(folder))
        network = load_features(Path(folder))

    lab = torch.stack([rgb_to_lab(_square(path, chosen.size)) for path in _photos(chosen.photos)])
    true = _embedded(network, lab, lambda chroma, other: chroma)
    found = {name: _embedded(network, lab, damage) for name, damage in DAMAGES.items()}
    print(f"{len(lab)} photos of {chosen.size}x{chosen.size} pixels\n")
    print("| damage | fid_lite2 | kid_lite2 | feature_distance_lite2 | CIEDE2000 | colorfulness |\n" + "|---" * 6 + "|")
    for name, photos in {"none": true, **found}.items():
        fid, kid = _fid_kid(photos["embedding"], true["embedding"])
        means = [float(photos[key].mean()) for key in ("distance", "ciede2000", "colorfulness")]
        print(f"| {name} | {fid:.2f} | {kid:.4f} | {means[0]:.3f} | {means[1]:.1f} | {means[2]:.1f} |")
    print()
    _print_counts(true["embedding"], {name: found[name]["embedding"] for name in (MILD, GRAY)})


def _photos(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp")]


def _square(path: Path, size: int) -> Tensor:
    """The middle of a photo, (3, size, size) sRGB in [0, 1]."""
    with Image.open(path) as photo:
        square = ImageOps.fit(photo.convert("RGB"), (size, size), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1) / 255


# damage


def blurred(sigma: float) -> Damage:
    """Chroma that bleeds over borders; sigma in pixels."""
    return lambda chroma, _: gaussian_blur(chroma, 2 * round(3 * sigma) + 1, sigma)


def paled(factor: float) -> Damage:
    """Chroma times `factor`."""
    return lambda chroma, _: factor * chroma


def turned(degrees: float) -> Damage:
    """Hue turned in the ab plane."""
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))

    def damage(chroma: Tensor, _: Tensor) -> Tensor:
        a, b = chroma.unbind(dim=1)
        return torch.stack([cosine * a - sine * b, sine * a + cosine * b], dim=1)

    return damage


MILD, GRAY = "chroma x 0.75", "gray"
DAMAGES: dict[str, Damage] = {
    **{f"blur of chroma, sigma {sigma}": blurred(sigma) for sigma in (1, 2, 4, 8, 16)},
    MILD: paled(0.75),
    "chroma x 0.5": paled(0.5),
    GRAY: paled(0.0),
    **{f"hue turned by {degrees}°": turned(degrees) for degrees in (15, 45, 90, 180)},
    "chroma of another photo": lambda _, other: other,
}


# measuring


def _embedded(network: FeatureNetwork, lab: Tensor, damage: Damage) -> dict[str, Tensor]:
    """Of each photo, damaged: its embedding, its distance from itself, the metrics of color beside them."""
    others = lab.roll(len(lab) // 2, dims=0)  # half a list away: of another folder, or another source
    found: dict[str, list[Tensor]] = {"embedding": [], "distance": [], "ciede2000": [], "colorfulness": []}
    for part, other in tqdm(zip(lab.split(BATCH), others.split(BATCH), strict=True), total=-(-len(lab) // BATCH)):
        chroma = damage(part[:, 1:], other[:, 1:])
        rgb, truth = (to_uint8(lab_to_rgb(torch.cat([part[:, :1], ab], dim=1))) / 255 for ab in (chroma, part[:, 1:]))
        found["embedding"].append(network.embed(rgb))
        found["distance"].append(network.distance(rgb, truth))
        found["ciede2000"].append(ciede2000(rgb, truth))
        found["colorfulness"].append(colorfulness(rgb))
    return {name: torch.cat(parts) for name, parts in found.items()}


def _fid_kid(predicted: Tensor, truth: Tensor) -> tuple[float, float]:
    distances = FeatureDistances(truth, len(predicted), CPU)
    distances.update(predicted)
    metrics = distances.compute()
    return metrics["fid"], metrics["kid"]


def _print_counts(true: Tensor, damaged: Mapping[str, Tensor]) -> None:
    """The same damage, measured on fewer photos: mean and standard deviation over seeded draws."""
    print("| photos |" + "".join(f" fid_lite2, {name} | kid_lite2, {name} |" for name in damaged))
    print("|---" * (1 + 2 * len(damaged)) + "|")
    for count in [count for count in COUNTS if count < len(true)] + [len(true)]:
        cells = [str(count)]
        for predicted in damaged.values():
            draws = np.array([_fid_kid(predicted[i], true[i]) for i in _draws(len(true), count)])
            for values, digits in zip(draws.T, (2, 4), strict=True):
                spread = f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else ""
                cells.append(f"{values.mean():.{digits}f}{spread}")
        print("| " + " | ".join(cells) + " |")


def _draws(photos: int, count: int) -> Iterator[Tensor]:
    for seed in range(DRAWS if count < photos else 1):
        yield torch.randperm(photos, generator=torch.Generator().manual_seed(seed))[:count]


if __name__ == "__main__":
    main()
