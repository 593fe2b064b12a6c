"""What decides the bits of a training besides params, photos, seed and code: another one rounds otherwise."""

from __future__ import annotations

import platform
from pathlib import Path

import torch


def environment() -> dict[str, str]:
    """This process's: ``torch``, its version; ``device``, what trains; ``threads``, of an operation on the CPU."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else _cpu()
    return {"torch": str(torch.__version__), "device": device, "threads": str(torch.get_num_threads())}


def _cpu() -> str:
    """Its model and the instructions that torch uses on it."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    model = next(models, platform.processor() or platform.machine())
    return f"{model} ({torch.backends.cpu.get_cpu_capability()})"
