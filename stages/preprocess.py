"""Stage `preprocess`: kept photos -> Lab cache, one array per split."""

from pathlib import Path

from _stage import run

from tintype.config import load_project
from tintype.data.cache_builder import build_cache
from tintype.files import verified


def stage(params: Path, raw: Path, curated: Path, cache: Path) -> None:
    project = load_project(params)
    manifest = verified(curated / "manifest.csv", "filter")
    build_cache(raw, manifest, project.preprocess, max_pixels=project.filter.max_pixels, out=cache)


if __name__ == "__main__":
    run(stage)
