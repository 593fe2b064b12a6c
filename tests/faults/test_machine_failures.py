"""What the machine fails at stops a stage, with one line. Only a photo's own bytes drop the photo."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tintype.config import Filter, Preprocess
from tintype.data.cache_builder import build_cache
from tintype.data.curation import curate, read_table, write_table
from tintype.errors import UserError, machine_failure
from tintype.images.opening import UnreadablePhoto

CONFIG = Filter(min_side=16, validation=0.1, test=0.2)


def scene(seed: int) -> Image.Image:
    corners = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), np.uint8)
    return Image.fromarray(corners).resize((32, 24), Image.Resampling.BILINEAR)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Thirty photos; the last is damaged."""
    photos = tmp_path / "raw/photos"
    photos.mkdir(parents=True)
    for i in range(30):
        scene(i).save(photos / f"{i:02}.png")
    whole = (photos / "29.png").read_bytes()
    (photos / "29.png").write_bytes(whole[: len(whole) // 2])
    write_table(tmp_path / "raw/labels.csv", ("path", "class"), [(f"{i:02}.png", "") for i in range(30)])
    return tmp_path / "raw"


def gone(path: Path) -> None:
    path.unlink()


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def input_output_error(path: Path) -> None:
    path.unlink()
    path.symlink_to("/proc/self/mem")  # whose first byte Linux refuses with EIO


def a_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


FAILURES = {
    gone: "No such file or directory",
    a_folder: "Is a directory",
    input_output_error: "Input/output error",
    a_loop: "Too many levels of symbolic links",
}


def test_a_damaged_photo_is_dropped(raw: Path, tmp_path: Path) -> None:
    assert curate(raw, CONFIG, tmp_path / "out").rejected == {"truncated": 1}


@pytest.mark.parametrize("fail", FAILURES)
def test_the_machines_failure_stops_the_filter(raw: Path, tmp_path: Path, fail) -> None:
    fail(raw / "photos/07.png")
    with pytest.raises(UserError, match=rf"photos/07\.png: {FAILURES[fail]}; no photo was dropped"):
        curate(raw, CONFIG, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("fail", FAILURES)
def test_the_machines_failure_stops_the_preparation(raw: Path, tmp_path: Path, fail) -> None:
    curate(raw, CONFIG, tmp_path / "out")
    fail(raw / "photos/07.png")
    with pytest.raises(UserError, match=rf"photos/07\.png: {FAILURES[fail]}; run the stage again"):
        build_cache(raw, tmp_path / "out/manifest.csv", Preprocess(image_size=32), 10**6, tmp_path / "lab")
    assert not (tmp_path / "lab/cache.json").exists()


FEW_HANDLES = """
import resource, sys
from pathlib import Path
from tintype.config import Filter
from tintype.data.curation import curate
import PIL.JpegImagePlugin, concurrent.futures.thread

handles = len(list(Path("/proc/self/fd").iterdir())) - 1
resource.setrlimit(resource.RLIMIT_NOFILE, (handles + int(sys.argv[3]), 4096))
curate(Path(sys.argv[1]), Filter(min_side=16, validation=0.1, test=0.2), Path(sys.argv[2]))
"""


def test_too_few_file_handles_stop_the_filter(raw: Path, tmp_path: Path) -> None:
    """With so few handles that some photos open and others do not, the photos are all kept, or it stops."""
    curate(raw, CONFIG, tmp_path / "whole")
    ended = []
    for handles in (0, 2):
        command = [sys.executable, "-c", FEW_HANDLES, raw, tmp_path / "out", str(handles)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if done.returncode:
            assert "Too many open files" in done.stderr
            assert not (tmp_path / "out").exists()
        else:
            assert (tmp_path / "out/manifest.csv").read_bytes() == (tmp_path / "whole/manifest.csv").read_bytes()
        ended.append(done.returncode == 0)
    assert ended[0] is False


def test_lack_of_memory_stops_the_filter(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_large(*_: object, **__: object) -> None:
        raise UnreadablePhoto("unreadable") from OSError("out of memory error when reading image file")  # Pillow's

    monkeypatch.setattr("tintype.data.curation.read_rgb", too_large)
    with pytest.raises(UserError, match=r"\.png: out of memory; no photo was dropped"):
        curate(raw, CONFIG, tmp_path / "out")


@pytest.mark.parametrize("change", ["another photo", "one byte more"])
def test_a_photo_that_changed_since_the_filter_is_named(raw: Path, tmp_path: Path, change: str) -> None:
    """A byte after a photo's end changes no pixel, but the file is not the one that was examined."""
    curate(raw, CONFIG, tmp_path / "out")
    kept = read_table(tmp_path / "out/manifest.csv")[3]["path"]
    if change == "another photo":
        scene(99).save(raw / "photos" / kept)
    else:
        (raw / "photos" / kept).write_bytes((raw / "photos" / kept).read_bytes() + b"\0")
    with pytest.raises(UserError, match=rf"{kept}: changed since the filter saw it; run .*dvc repro -f filter"):
        build_cache(raw, tmp_path / "out/manifest.csv", Preprocess(image_size=32), 10**6, tmp_path / "lab")
    assert not (tmp_path / "lab/cache.json").exists()


def test_what_is_the_machines() -> None:
    for number in (1, 2, 5, 12, 13, 23, 24, 28, 116):  # EPERM ENOENT EIO ENOMEM EACCES ENFILE EMFILE ENOSPC ESTALE
        assert machine_failure(OSError(number, "")) is not None
    assert machine_failure(MemoryError()) == "out of memory"
    assert machine_failure(OSError("image file is truncated")) is None
    assert machine_failure(OSError(22, "Invalid argument")) is None  # a damaged TIFF's offset
    assert machine_failure(SyntaxError("not a PNG file")) is None
    hidden = UnreadablePhoto("unreadable")
    hidden.__cause__ = PermissionError(13, "", "a.png")
    assert machine_failure(hidden) == "a.png: Permission denied"
