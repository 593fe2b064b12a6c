"""`python -m benchmarks.quality PHOTOS`: how good a model's colors are on color photos, at the photos' own size.

Each photo goes the way of a user's: its colors are dropped, `tintype.Colorizer` gives it new ones. The metrics are
those of its answers as 8-bit sRGB, beside the photo left gray. Pooled PSNR is that of the mean squared error over
photos. Prints a Markdown table; with --json, writes it, too.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.__main__ import machine
from tintype import Colorizer
from tintype.color.colorfulness import colorfulness
from tintype.config import Features
from tintype.features import load_features, make_features
from tintype.images.decoding import read_photo
from tintype.inference.recombination import recombine
from tintype.metrics.color import ciede2000
from tintype.metrics.distributions import FeatureDistances
from tintype.metrics.pixels import psnr, squared_error

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


@dataclass
class Answers:
    """What is measured of one way to color all photos, photo by photo."""

    squared_error: list[Tensor] = field(default_factory=list)
    ciede2000: list[Tensor] = field(default_factory=list)
    colorfulness: list[Tensor] = field(default_factory=list)
    embedding: list[Tensor] = field(default_factory=list)


@torch.inference_mode()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("photos", type=Path, help="a folder of color photos")
    parser.add_argument("--model", action="append", help="as of `tintype colorize`; may be repeated")
    parser.add_argument("--saturation", type=float, nargs="*", default=[1.0], help="factors of the chroma")
    parser.add_argument("--size", type=int, nargs="*", default=[None], help="short sides of what the network sees")
    parser.add_argument("--json", type=Path, help="where to write the metrics")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_features(Features.model_validate({}), Path(folder))
        network = load_features(Path(folder))

    colorizers = {}
    for model in chosen.model or ["everyday"]:
        for size in chosen.size:
            for saturation in chosen.saturation:
                name = f"{model}, saturation {saturation:g}" + (f", {size} px" if size else "")
                colorizers[name] = Colorizer.load(model, size=size, saturation=saturation)
    found = {name: Answers() for name in ("truth", "gray", *colorizers)}
    paths = [path for path in sorted(chosen.photos.rglob("*")) if path.suffix.lower() in SUFFIXES]
    for path in tqdm(paths, unit="photo", disable=None):
        shown = _colored(path, colorizers)
        for name, rgb in shown.items():
            answers = found[name]
            answers.squared_error.append(squared_error(rgb, shown["truth"]))
            answers.ciede2000.append(ciede2000(rgb, shown["truth"]))
            answers.colorfulness.append(colorfulness(rgb))
            answers.embedding.append(network.embed(rgb))

    rows = _rows(found)
    print("| " + " | ".join(["", *rows["gray"]]) + " |")
    print("|---" * (1 + len(rows["gray"])) + "|")
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(f"{value:.4g}" for value in row.values()) + " |")
    if chosen.json:
        told = {"photos": len(paths), "rows": rows, "machine": machine()}
        chosen.json.write_text(json.dumps(told, indent=2) + "\n")


def _colored(path: Path, colorizers: dict[str, Colorizer]) -> dict[str, Tensor]:
    """The true photo, the gray one and each model's, (1, 3, H, W) in [0, 1]."""
    photo = read_photo(path)
    no_chroma = np.zeros((2, 1, 1), np.float32)
    shown = {"truth": _tensor(photo.pixels), "gray": _tensor(recombine(photo.pixels, no_chroma))}
    for name, colorizer in colorizers.items():
        prepared = colorizer.prepare(photo)
        shown[name] = _tensor(colorizer.finish(prepared, colorizer.predict([prepared])[0]).pixels)
    return shown


def _tensor(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels).movedim(2, 0)[None].float() / 255


def _rows(found: dict[str, Answers]) -> dict[str, dict[str, float]]:
    def mean(values: list[Tensor]) -> float:
        return float(torch.cat(values).double().mean())

    truth, gray = found["truth"], found["gray"]
    true_embedding = torch.cat(truth.embedding)

    def distances(answers: Answers) -> dict[str, float]:
        of_features = FeatureDistances(true_embedding, len(true_embedding), torch.device("cpu"))
        of_features.update(torch.cat(answers.embedding))
        return {f"{name}_lite2": value for name, value in of_features.compute().items()}

    from_gray = distances(gray)
    rows = {}
    for name in list(found)[1:]:
        answers = found[name]
        decibels, of_gray = (float(psnr(torch.tensor(mean(a.squared_error)))) for a in (answers, gray))
        features = from_gray if answers is gray else distances(answers)
        rows[name] = {
            "psnr_pooled": decibels,
            "psnr_pooled_over_gray": decibels - of_gray,
            "ciede2000": mean(answers.ciede2000),
            "ciede2000_of_gray": mean(answers.ciede2000) / mean(gray.ciede2000),
            "colorfulness": mean(answers.colorfulness),
            "colorfulness_of_truth": mean(answers.colorfulness) / mean(truth.colorfulness),
        }
        for metric, value in features.items():
            rows[name] |= {metric: value, f"{metric}_of_gray": value / from_gray[metric]}
    return rows


if __name__ == "__main__":
    main()
