"""On a full or read-only disk each stage ends with one line, and completes once there is room."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Project

from tintype.files import folder_hash, md5, readable

pytestmark = pytest.mark.slow
STAGES = {
    "hash_code": ("{disk}/code",),
    "download": ("params.yaml", "{disk}/raw"),
    "filter": ("params.yaml", "data/raw", "{disk}/curated"),
    "preprocess": ("params.yaml", "data/raw", "data/curated", "{disk}/lab"),
    "features": ("params.yaml", "data/lab", "{disk}/features"),
    "configure": ("params.yaml", "data/curated", "data/features", "{disk}/configs"),
    "train": ("configs/gan_l1.json", "data/lab", "data/features", "{disk}/models/gan_l1", "{disk}/curves/gan_l1.csv"),
    "evaluate": (
        *("params.yaml", "models/gan_l1", "data/lab", "data/features"),
        *("{disk}/metrics/gan_l1.json", "{disk}/samples/gan_l1.png"),
    ),
    "baselines": ("params.yaml", "data/lab", "data/features", "{disk}/metrics", "{disk}/samples"),
    "report": ("params.yaml", "metrics", "curves", "{disk}/report"),
}
"""The command line of each stage, with its outputs on the small disk."""


@pytest.fixture(scope="module")
def project(finished_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the finished project, with an MLflow store of its own."""
    root = tmp_path_factory.mktemp("copy") / "project"
    shutil.copytree(finished_project.root, root, ignore=shutil.ignore_patterns(".git", "cache", ".tintype"))
    return Project(root)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system in memory, with room for what the stages write."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no right to mount a file system: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", disk], check=True)


def fill(disk: Path, free: int) -> None:
    size = shutil.disk_usage(disk).free - free
    with (disk / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)


def run(project: Project, stage: str, disk: Path) -> subprocess.CompletedProcess[str]:
    words = [word.format(disk=disk) for word in STAGES[stage]]
    return project.run("python", f"stages/{stage}.py", *words, check=False)


def made(disk: Path) -> dict[str, str]:
    outs = [path for path in disk.iterdir() if path.name != "filler"]
    return {path.name: folder_hash(path) if path.is_dir() else md5(path) for path in outs}


@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_is_one_line_and_the_rerun_completes(project, disk, stage):
    assert run(project, stage, disk).returncode == 0
    want = made(disk)
    for path in disk.iterdir():
        shutil.rmtree(path)

    for free in (0, 3 * 4096):  # nothing can be written, and only a part
        fill(disk, free)
        done = run(project, stage, disk)
        (disk / "filler").unlink()
        if done.returncode == 0:  # the part was all
            assert free
            assert made(disk) == want
            continue
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        line = done.stderr.splitlines()[-1]
        assert line.startswith("error: ")
        assert "needs" in line
        assert "free" in line
        assert not (disk / "lab/cache.json").exists()

    remount(disk, "ro")
    done = run(project, stage, disk)
    remount(disk, "rw")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "Read-only file system" in done.stderr.splitlines()[-1]

    assert run(project, stage, disk).returncode == 0
    assert made(disk) == want


def test_sizes_are_in_units_that_suit_them():
    assert [readable(size) for size in (0, 999, 159_744, 12_345_678, 5 * 10**9, 7 * 10**12)] == [
        *("0 bytes", "999 bytes", "159.7 kB", "12.3 MB", "5.0 GB", "7000.0 GB")
    ]
