"""What a document says about where its run was made: the machine, the versions, the commit."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from multirec._machine.available import physical_bytes
from multirec._machine.threads import num_threads

from .format import Git, Machine

_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def describe_machine() -> Machine:
    """Return the processor, memory, load and threads; nothing that names the host."""
    cpu, cores, memory = _cpu_name(), os.cpu_count(), physical_bytes()
    system = f"{platform.system()} {platform.machine()}"
    # container limits and kernels report memory a little differently from boot to boot
    identity = f"{cpu}|{cores}|{round((memory or 0) / 2**30)}|{system}"
    return {
        "id": hashlib.sha256(identity.encode()).hexdigest()[:12],
        "cpu": cpu,
        "cores": cores,
        "threads": num_threads(),
        "memory_bytes": memory,
        "system": system,
        "load_before": load(),
        "load_after": None,
        "governor": _governor(),
        "timer_resolution_s": timer_resolution(),
        "gpus": _gpus(),
    }


def load() -> float | None:
    """Return the processes that wanted to run, averaged over the last minute."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def timer_resolution() -> float:
    """Return the smallest step of the clock, in seconds, as it shows."""
    steps = []
    for _ in range(200):
        start = now = time.perf_counter_ns()
        while now <= start:
            now = time.perf_counter_ns()
        steps.append(now - start)
    return min(steps) / 1e9


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """Return the versions of Python, multirec, NumPy, and of these distributions where they are installed."""
    found = {"python": sys.version.split()[0]}
    names = {"multirec": "multirec-bank", "numpy": "numpy"} | {name: name for name in distributions if name}
    for key, name in names.items():
        try:
            found[key] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_state() -> Git | None:
    """Return the commit of the checkout that multirec is imported from, and whether it has changes; None elsewhere."""
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git(root, "status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, timeout=5, check=True)
    return done.stdout.strip()


def _gpus() -> list[str]:
    """Return the names of NVIDIA's GPUs, without an array library."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.splitlines()


def _governor() -> str | None:
    try:
        return _GOVERNOR.read_text().strip()
    except OSError:
        return None


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
