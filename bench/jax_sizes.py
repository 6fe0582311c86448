"""Finds after how many calls a program of backend jax has caught up with one that calls numba.

What JAX compiles of backend jax takes longer to compile, and for short signals less time in each call. Both are
measured in interleaved rounds of one process, as CPU time of the process, forward, and forward and backward; the
shortest counts. Machine code of numba is on disk already.

    python bench/jax_sizes.py [--rounds 9] [-o FILE.json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import multirec as mr

ROWS, LENGTHS = ((1, 8), (4, 2), (64, 32)), (1, 2, 4, 5, 8, 16, 64)
BACKENDS, FIRSTS, CALLS = ("jax", "numba"), 3, 20


def program(backend: str, mode: str) -> Any:
    def y(x: Any, a: Any) -> Any:
        return mr.recurrence(x, feedback=a, backend=backend)[0]

    return jax.jit(y if mode == "forward" else jax.grad(lambda x, a: (y(x, a) ** 2).sum(), (0, 1)))


def cpu_seconds(function: Any, *arrays: Any, calls: int = 1) -> float:
    start = time.process_time()
    for _ in range(calls):
        jax.block_until_ready(function(*arrays))
    return (time.process_time() - start) / calls


def row(mode: str, x: Any, a: Any, rounds: int) -> dict[str, Any]:
    first: dict[str, list[float]] = {backend: [] for backend in BACKENDS}
    later: dict[str, list[float]] = {backend: [] for backend in BACKENDS}
    for _ in range(FIRSTS):
        jax.clear_caches()
        programs = {backend: program(backend, mode) for backend in BACKENDS}
        for backend, function in programs.items():
            first[backend].append(cpu_seconds(function, x, a))
    for _ in range(rounds):
        for backend, function in programs.items():
            later[backend].append(cpu_seconds(function, x, a, calls=CALLS) * 1e6)
    more, less = (min(of["jax"]) - min(of["numba"]) for of in (first, later))
    return {
        "first_seconds": first,
        "microseconds": later,
        "calls": 0 if more <= 0 else round(more / -less * 1e6) if less < 0 else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    rows: dict[str, Any] = {}
    for (batch, channels), length in product(ROWS, LENGTHS):
        x = jnp.asarray(np.random.default_rng(0).standard_normal((batch, channels, length)), jnp.float32)
        a = jnp.full((channels, 2), 0.1, jnp.float32)
        for mode in ("forward", "both"):
            name = f"x[{batch}, {channels}, {length}], order 2: {mode}"
            found = rows[name] = row(mode, x, a, options.rounds)
            least = (
                f"{backend} first {min(found['first_seconds'][backend]) * 1e3:5.0f} ms, "
                f"then {min(found['microseconds'][backend]):6.1f} µs"
                for backend in BACKENDS
            )
            print(f"{name:36} {'; '.join(least)}; jax has caught up after {found['calls']} calls", flush=True)
    report = {
        "command": f"python bench/jax_sizes.py --rounds {options.rounds}",
        "machine": {"system": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version()},
        "versions": {name: version(name) for name in ("jax", "jaxlib", "numpy", "llvmlite")},
        "rows": rows,
    }
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
