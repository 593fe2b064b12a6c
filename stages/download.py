"""Stage `download`: the dataset's source -> raw photos and their labels."""

from pathlib import Path

from _stage import run

from tintype.config import check_classes, load_lab
from tintype.data.curation import listed_photos
from tintype.data.sources import download
from tintype.metrics.registry import check_names


def stage(params: Path, raw: Path) -> None:
    lab = load_lab(params)
    check_names(lab)
    download(lab.data, raw, root=params.parent)
    check_classes(lab, len({photo.label for photo in listed_photos(raw, lab.filter)} - {""}))


if __name__ == "__main__":
    run(stage)
