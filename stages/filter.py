"""Stage `filter`: raw photos -> a manifest of the kept photos with their splits, and a list of the rejected ones."""

from pathlib import Path

from _stage import run

from tintype.config import load_project
from tintype.data.curation import curate
from tintype.files import verified


def stage(params: Path, raw: Path, curated: Path) -> None:
    verified(raw / "labels.csv", "download")
    summary = curate(raw, load_project(params).filter, curated)
    print(f"kept {sum(summary.photos.values())}: {summary.photos}; rejected: {summary.rejected}")


if __name__ == "__main__":
    run(stage)
