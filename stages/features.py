"""Stage `features`: Lab cache -> the feature network behind FID, KID and LPIPS."""

from pathlib import Path

from _stage import run

from tintype.config import load_lab
from tintype.data.cache import LabCache
from tintype.devices import default_device
from tintype.features import make_features


def stage(params: Path, cache: Path, features: Path) -> None:
    make_features(load_lab(params).features, LabCache.open(cache), features, default_device())


if __name__ == "__main__":
    run(stage)
