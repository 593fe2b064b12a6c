"""`python -m benchmarks [NAME...]`: measure, print a table, write ``benchmarks/results.json``.

Every value that matters is a ratio of two things timed side by side in this one run: absolute times change with the
machine.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

NAMES = ("reading", "caching", "training_step", "startup", "exported", "flicker", "frechet_distance")
RESULTS = Path(__file__).parent / "results.json"


def main() -> None:
    """Run the named benchmarks, all by default."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(NAMES)} (default: all)")
    parser.add_argument("--photos", type=Path, help="a folder of photos to read, in place of drawn ones")
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - set(NAMES):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(NAMES)}")

    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in chosen.names or NAMES:
        print(f"{name} ...", flush=True)
        module = importlib.import_module(f"benchmarks.{name}")
        takes_photos = name in ("reading", "caching") and chosen.photos
        results[name] = {**(module.run(chosen.photos) if takes_photos else module.run()), "machine": machine()}
        print(json.dumps(results[name], indent=2), flush=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


def machine() -> dict[str, str | int | None]:
    """What the metrics were measured on."""
    import torch

    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": version("torch"),
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
