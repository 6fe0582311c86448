"""What a run says about where it ran."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from multirec._threads import num_threads

from ._memory import available_bytes


def describe_machine() -> dict[str, Any]:
    """Return the processor, memory, load, threads and versions."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": num_threads(),
        "memory_available_bytes": available_bytes(),
        "load_1min": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": sys.version.split()[0],
        "numpy": np.__version__,
        "multirec": _multirec_version(),
    }


def _multirec_version() -> str:
    try:
        return metadata.version("multirec-bank")
    except metadata.PackageNotFoundError:
        return "unknown"


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
