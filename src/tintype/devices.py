"""The default device, and the properties of a machine that decide the last bits of a result."""

from __future__ import annotations

import platform
from pathlib import Path

import torch


def default_device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def environment() -> dict[str, str]:
    """Return what affects rounding: torch's version, the device that trains, and the threads per CPU operation."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else _cpu()
    return {"torch": str(torch.__version__), "device": device, "threads": str(torch.get_num_threads())}


def _cpu() -> str:
    """Return the CPU's model and the instruction set that torch uses on it."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    model = next(models, platform.processor() or platform.machine())
    return f"{model} ({torch.backends.cpu.get_cpu_capability()})"
