"""Stage `baselines`: trivial baselines that ignore the photo, measured in the same way as the rows."""

from pathlib import Path

from _stage import run

from tintype.config import load_project
from tintype.data.cache import LabCache
from tintype.metrics.baselines import BASELINES
from tintype.metrics.evaluation import evaluate_project


def stage(params: Path, cache_folder: Path, features: Path, metrics: Path, samples: Path) -> None:
    config, cache = load_project(params).evaluate, LabCache.open(cache_folder)
    for name, baseline in BASELINES.items():
        predictor = baseline(cache.split("train"))
        evaluate_project(predictor, cache, features, config, metrics / f"{name}.json", samples / f"{name}.png")


if __name__ == "__main__":
    run(stage)
