"""Times the eight workloads of the project, in their layouts, against their memory traffic and against peers.

Every row is measured in interleaved rounds in one process: the library, the copy or fill of the same bytes, and the
peers. "limit" writes to memory that is there already, "fresh limit" to new memory, as every contestant does; a fill
is of new memory unless it is called warm. "numba_reuse" is the library with `multirec.memory`: an output comes in the
memory of an earlier one. Run on an idle machine:

    python bench/workloads.py [--only W5 W6 …] [--rounds 9] [--backend numba] [-o FILE.json]

FILE is written after every row. A file that is there is continued: its rows are not measured again.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cpu import REUSED, WORKLOADS
from cpu.row import Call

import multirec as mr

_REUSE, _KEPT = "_reuse", 4 << 30
_PACKAGES = ("torch", "llvmlite", "numpy", "scipy", "torchaudio", "philtorch")


def measure(calls: dict[str, Call], rounds: int) -> dict[str, list[float]]:
    """Return milliseconds of each call, in rounds that run every one of them in a fresh order."""
    mr.memory.set_limit(0)
    rng = np.random.default_rng(0)
    for call in calls.values():
        call()
    names, samples = list(calls), {name: [] for name in calls}
    for _ in range(rounds):
        for index in rng.permutation(len(names)):
            name = names[index]
            repeat = 50 if min(samples[name], default=1e9) < 1 else 1
            if name.endswith(_REUSE):
                mr.memory.set_limit(_KEPT)
                calls[name]()
            start = time.perf_counter_ns()
            for _ in range(repeat):
                calls[name]()
            samples[name].append((time.perf_counter_ns() - start) / 1e6 / repeat)
            mr.memory.set_limit(0)
    return samples


def heading(rounds: int) -> dict[str, Any]:
    """Return what has to be the same of all rows of a file."""
    return {
        "machine": platform.processor() or platform.machine(),
        "threads": mr.num_threads(),
        "torch_threads": torch.get_num_threads(),
        "versions": {name: installed(name) for name in _PACKAGES},
        "rounds": rounds,
    }


def installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def continued(output: Path | None, head: dict[str, Any]) -> dict[str, Any]:
    """Return the rows that a file has; end where they are of another machine, other versions or rounds."""
    if output is None or not output.exists():
        return {}
    report = json.loads(output.read_text())
    differing = [key for key, value in head.items() if report.get(key) != value]
    if differing:
        sys.exit(f"{output} was measured with another {' and '.join(differing)}. Name another file, or remove it.")
    rows: dict[str, Any] = report["rows"]
    return rows


def shown(key: str, samples: dict[str, list[float]]) -> None:
    # ratios are taken round by round, which cancels the drift of the machine
    limit = np.array(samples["limit"])
    for contestant, taken in samples.items():
        ratio = float(np.median(np.array(taken) / limit))
        print(f"{key:16} {contestant:20} {np.median(taken):10.3f} {min(taken):10.3f} {ratio:8.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, metavar="W1 …", help="workloads (default: all)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--backend", default="numba")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    head = heading(options.rounds)
    rows = continued(options.output, head)
    print(f"{'row':16} {'contestant':20} {'median':>10} {'min':>10} {'/ limit':>8}")
    for name in options.only or WORKLOADS:
        layouts, make = WORKLOADS[name]
        for layout in layouts:
            row = None
            for mode in ("forward", "both"):
                key = f"{name} {layout} {mode}"
                if key not in rows:
                    row = row or make(layout, options.backend)
                    calls = getattr(row, mode)
                    if not calls:
                        continue
                    if name in REUSED:
                        calls[options.backend + _REUSE] = calls[options.backend]
                    rows[key] = {"about": row.about, "milliseconds": measure(calls, options.rounds)}
                    if options.output:
                        options.output.write_text(json.dumps(head | {"rows": rows}, indent=1) + "\n")
                shown(key, rows[key]["milliseconds"])
            # the next row needs its memory
            del row
            gc.collect()


if __name__ == "__main__":
    main()
