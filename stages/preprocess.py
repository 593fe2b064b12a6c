"""Stage `preprocess`: kept photos -> Lab cache, one array a split."""

from pathlib import Path

from _stage import run

from tintype.config import load_lab
from tintype.data.cache import build_cache


def stage(params: Path, raw: Path, curated: Path, cache: Path) -> None:
    lab = load_lab(params)
    build_cache(raw, curated / "manifest.csv", lab.preprocess, max_pixels=lab.filter.max_pixels, out=cache)


if __name__ == "__main__":
    run(stage)
