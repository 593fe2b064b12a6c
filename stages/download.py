"""Stage `download`: the dataset's source -> raw photos and their labels."""

from pathlib import Path

from _stage import run

from tintype.config import check_classes, load_project
from tintype.data.curation import listed_photos
from tintype.data.sources import download
from tintype.metrics.registry import check_names


def stage(params: Path, raw: Path) -> None:
    project = load_project(params)
    check_names(project)
    download(project.data, raw, root=params.parent)
    check_classes(project, len({photo.label for photo in listed_photos(raw, project.filter)} - {""}))


if __name__ == "__main__":
    run(stage)
