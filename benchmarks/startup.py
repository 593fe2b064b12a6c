"""What a user waits for before anything happens: `tintype --help`, and a `dvc repro` with nothing to do."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]


def run(repeats: int = 5) -> dict[str, Any]:
    """Median seconds of each command; a no-op repro only where the default lab is finished.

    The ratio for `--help` is against the bare interpreter, which is the least any Python tool can take.
    """
    scripts = Path(sys.executable).parent
    seconds = {
        "python -c pass": _median([sys.executable, "-c", "pass"], repeats),
        "tintype --help": _median([str(scripts / "tintype"), "--help"], repeats),
    }
    finished = (CHECKOUT / "dvc.lock").exists() and _output(["dvc", "status", "-q"]).returncode == 0
    if finished:
        seconds["dvc repro (no-op)"] = _median([str(scripts / "dvc"), "repro"], repeats)
    return {
        "name": "startup",
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "ratios": {"tintype --help / python": round(seconds["tintype --help"] / seconds["python -c pass"], 1)},
        "goal": {"tintype --help": 0.3, "dvc repro (no-op)": 5.0},
    }


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
