"""What `make gpu` runs: each step in a process of its own, within a time for all of them.

The steps are the faults that only a device shows, the benchmark, the conformance suite, and compute-sanitizer where
it exists. Results are written as they come, so a step that is cut short leaves what it had.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from time import perf_counter

HERE = Path(__file__).parent
SECONDS = 460
STEPS = (("benchmark", 200), ("faults", 60), ("conformance", 170))
TOOLS = ("memcheck", "racecheck")


def card_name() -> str:
    """Return the card as a file name: NVIDIA H200 is h200."""
    import torch

    name = torch.cuda.get_device_name(0).lower()
    words = [word for word in re.split(r"[^a-z0-9]+", name) if word not in ("nvidia", "geforce", "tesla", "")]
    return "-".join(words[:2] if words and words[0] in ("rtx", "gtx", "quadro") else words[:1]) or "gpu"


def attempt(command: list[str], limit: float, title: str) -> bool:
    """Run a command within a limit; say how it ended."""
    start = perf_counter()
    try:
        code = subprocess.run(command, cwd=HERE, timeout=limit, check=False).returncode
        ending = "done" if code == 0 else f"ended with exit code {code}"
    except subprocess.TimeoutExpired:
        code, ending = 124, f"cut short after {limit:.0f} s"
    print(f"== {title}: {ending}, {perf_counter() - start:.0f} s", flush=True)
    return code == 0


def main() -> int:
    """Run all steps; the exit code is 1 if one of them did not end well or failed a check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("bench/results"))
    parser.add_argument("--step", choices=[name for name, _ in STEPS], help="run one step in this process")
    given = parser.parse_args()
    try:
        import cupy  # noqa: F401
        import torch
    except ImportError as error:
        print(f"make gpu needs torch and CuPy in {sys.executable}: {error}", file=sys.stderr)
        return 2
    if not torch.cuda.is_available():
        print("make gpu needs a GPU: torch finds no CUDA device or no driver.", file=sys.stderr)
        return 2
    card, folder = card_name(), given.results.resolve()
    if given.step:
        __import__(given.step).run(folder, card)
        return 0
    start, fine = perf_counter(), True
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

    def left() -> float:
        return max(SECONDS - (perf_counter() - start), 1)

    for step, most in STEPS:
        command = [sys.executable, __file__, "--results", str(folder), "--step", step]
        fine = attempt(command, min(most, left()), step) and fine
    tool = shutil.which("compute-sanitizer") or shutil.which("/usr/local/cuda/bin/compute-sanitizer")
    if tool is None:
        print("== compute-sanitizer is not installed")
    for name in TOOLS if tool else ():
        log = ["--error-exitcode", "9", "--log-file", str(folder / f"{card}-{name}.txt")]
        command = [str(tool), "--tool", name, *log, sys.executable, "sanitized.py"]
        fine = attempt(command, min(60, left()), f"compute-sanitizer {name}") and fine
    failed = [
        path.name
        for path in sorted(folder.glob(f"{card}-*.json"))
        if any(f'"status": "{word}"' in path.read_text(encoding="utf-8") for word in ("failed", "wrong"))
    ]
    print(
        f"== {perf_counter() - start:.0f} s in all; results in {folder}" + (f"; failures in {failed}" if failed else "")
    )
    return 0 if fine and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
