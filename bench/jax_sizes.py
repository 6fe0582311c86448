"""Finds from which size on backend numba, called from a program of JAX's, is faster than backend jax inside of it.

Both are measured in interleaved rounds of one process, forward, and forward and backward. Run on an idle machine:

    python bench/jax_sizes.py [--rounds 9] [-o FILE.json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import timeit
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import multirec as mr

BATCHES, LENGTHS, CALLS = ((1, 1), (1, 8), (1, 128), (16, 32), (64, 128)), (1, 4, 16, 48, 63, 64, 96, 256, 1024), 10


def compiled(backend: str, x: Any, a: Any) -> dict[str, Any]:
    def y(x: Any, a: Any) -> Any:
        return mr.recurrence(x, feedback=a, backend=backend)[0]

    functions = {"forward": y, "both": jax.grad(lambda x, a: y(x, a).sum(), (0, 1))}
    return {mode: jax.jit(function).lower(x, a).compile() for mode, function in functions.items()}


def microseconds(function: Any, *arrays: Any) -> float:
    calls = timeit.repeat(lambda: jax.block_until_ready(function(*arrays)), number=CALLS, repeat=2)
    return min(calls) / CALLS * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    rows: dict[str, Any] = {}
    for (batch, channels), length in product(BATCHES, LENGTHS):
        x = jnp.asarray(np.random.default_rng(0).standard_normal((batch, channels, length)), jnp.float32)
        a = jnp.full((channels, 2), 0.1, jnp.float32)
        functions = {backend: compiled(backend, x, a) for backend in ("jax", "numba")}
        for mode in ("forward", "both"):
            taken: dict[str, list[float]] = {"jax": [], "numba": []}
            for _ in range(options.rounds):
                for backend, times in taken.items():
                    times.append(microseconds(functions[backend][mode], x, a))
            ratio = float(np.median(np.array(taken["numba"]) / np.array(taken["jax"])))
            least = ", ".join(f"{backend} {min(times):8.1f} µs" for backend, times in taken.items())
            name = f"x[{batch}, {channels}, {length}], order 2: {mode}"
            print(f"{name:40} {least}, numba / jax {ratio:5.2f}", flush=True)
            rows[name] = {"microseconds": taken, "ratio": ratio}
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
