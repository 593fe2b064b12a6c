"""What a user waits for before anything happens: `tintype --help`, one photo, and a `dvc repro` with nothing to do."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

CHECKOUT = Path(__file__).resolve().parents[1]


def run(repeats: int = 5) -> dict[str, Any]:
    """Median seconds of each command, and the memory of coloring; a no-op repro only in a finished default project.

    The ratio for `--help` is against the bare interpreter, which is the least any Python tool can take.
    """
    scripts = Path(sys.executable).parent
    seconds = {
        "python -c pass": _median([sys.executable, "-c", "pass"], repeats),
        "tintype --help": _median([str(scripts / "tintype"), "--help"], repeats),
    }
    seconds["tintype colorize"], megabytes = _coloring(scripts, repeats)
    finished = (CHECKOUT / "dvc.lock").exists() and _output(["dvc", "status", "-q"]).returncode == 0
    if finished:
        seconds["dvc repro (no-op)"] = _median([str(scripts / "dvc"), "repro"], repeats)
    return {
        "name": "startup",
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "peak megabytes": {"tintype colorize": round(megabytes)},
        "ratios": {"tintype --help / python": round(seconds["tintype --help"] / seconds["python -c pass"], 1)},
        "goal": {"tintype --help": 0.3, "dvc repro (no-op)": 5.0},
    }


def _coloring(scripts: Path, repeats: int) -> tuple[float, float]:
    """One photo of 2 megapixels by the released model: median seconds, and the largest peak of memory in megabytes."""
    seconds, peaks = [], []
    with tempfile.TemporaryDirectory() as temporary:
        photo = Path(temporary, "photo.jpg")
        Image.radial_gradient("L").resize((1600, 1200)).save(photo)
        for _ in range(repeats):
            start = time.perf_counter()
            colorize = subprocess.Popen(
                [scripts / "tintype", "colorize", photo, "--overwrite"], stdout=subprocess.DEVNULL
            )
            _, status, usage = os.wait4(colorize.pid, 0)
            seconds.append(time.perf_counter() - start)
            peaks.append(usage.ru_maxrss / 1e3)
            if status:
                raise SystemExit("tintype colorize failed")
    return statistics.median(seconds), max(peaks)


def _output(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, check=False)


def _median(command: list[str], repeats: int) -> float:
    _output(command)
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        _output(command)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)
