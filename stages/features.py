"""Stage `features`: Lab cache -> feature networks of FID, KID and the perceptual loss; embeddings of test photos."""

from pathlib import Path

from _stage import run

from tintype.config import load_project
from tintype.data.cache import LabCache
from tintype.devices import default_device
from tintype.features import make_features
from tintype.features.reference import write_reference


def stage(params: Path, cache: Path, features: Path) -> None:
    project = load_project(params)
    make_features(project.features, features)
    write_reference(LabCache.open(cache).split("test"), features, project.evaluate.spaces, default_device())


if __name__ == "__main__":
    run(stage)
