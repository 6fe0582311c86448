"""Times filters of JAX arrays inside `jit`: both backends of the library, `lax.scan`, `associative_scan`, philtorch.

All are measured in interleaved rounds in one process, which computes a fill of the output as well: NumPy's, of huge
pages, and XLA's, of small ones. Memory is the growth of the process at the peak of one call, above what was held
before; the error is that of float32 filters with poles at radius 0.9999. All that take more than a second have
three rounds of their own. Run on an idle machine:

    python bench/jax_ratios.py [--rounds 7] [-o FILE.json] [W1 W5 …]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from workloads import measure

import multirec as mr
from multirec.bench.cases.case import MODES, Case, Mode
from multirec.bench.cases.named import case_named
from multirec.bench.cases.signals import Signals, signals
from multirec.bench.contestants.jax_scans import JaxAssociativeScan, JaxContestant, JaxScan
from multirec.bench.contestants.torch_peers import Philtorch
from multirec.bench.host.memory import host_growth, reset_host_peak
from multirec.bench.results.origin import describe_machine, versions

CASES = {"W1": "biquads", "W2": "dense", "W3": "long", "W5": "gated", "W8": "complex"}
Call = Callable[[], object]


class Library(JaxContestant):
    """The library, by the name of a backend."""

    def __init__(self, name: str) -> None:
        self.name = name

    def function(self, case: Case, state: Any) -> Any:
        def bank(x: Any, feedback: Any, feedforward: Any = None) -> Any:
            return mr.recurrence(x, feedforward=feedforward, feedback=feedback, backend=self.name)[0]

        return bank


def compiled(contestant: JaxContestant, case: Case, given: Signals, mode: Mode) -> Call:
    arrays = {name: getattr(given, name) for name in ("x", "feedforward", "feedback")}
    leaves = {name: jnp.asarray(array) for name, array in arrays.items() if array is not None}
    work = contestant._compiled(contestant.function(case, None), mode)
    rest = () if given.grad_y is None else (jnp.asarray(given.grad_y),)
    return lambda: jax.block_until_ready(work(leaves, *rest))


def calls(case: Case, mode: Mode) -> dict[str, Call]:
    given = signals(case, mode)
    contestants = (Library("auto"), Library("jax"), JaxScan(), JaxAssociativeScan())
    found = {contestant.name: compiled(contestant, case, given, mode) for contestant in contestants}
    if case.time_varying and find_spec("philtorch"):
        philtorch = Philtorch()
        philtorch.load()
        found["philtorch"] = philtorch.prepare(case, given, mode)
    shape, dtype = case.y_shape, case.dtype
    found["numpy fill"] = lambda: np.empty(shape, dtype).fill(1)
    fill = jax.jit(lambda value: jnp.full(shape, value))
    found["xla fill"] = lambda: fill(np.ones((), dtype)).block_until_ready()
    return found


def seconds(call: Call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def growth(call: Call) -> int | None:
    reset_host_peak()
    call()
    return host_growth()


def float32_errors() -> dict[str, float]:
    """Return root-mean-square errors of y over those of one sample after the other, the largest of 24 filters."""
    angle = np.linspace(1e-3, 3.1, 24)
    a = np.stack([2 * 0.9999 * np.cos(angle), np.full(24, -(0.9999**2))], -1).astype(np.float32)
    x = np.random.default_rng(0).standard_normal((8, 1, 16000)).astype(np.float32)
    exact = mr.recurrence(x.astype(float), feedback=a.astype(float))[0]
    steps = np.zeros((8, 24, 16002), np.float32)
    for t in range(16000):
        steps[..., t + 2] = x[..., t] + a[:, 0] * steps[..., t + 1] + a[:, 1] * steps[..., t]

    def error(y: Any) -> np.ndarray:
        return np.sqrt(np.mean((np.asarray(y) - exact) ** 2, (0, 2)))

    filtered = jax.jit(lambda x, a, name: mr.recurrence(x, feedback=a, backend=name)[0], static_argnums=2)
    return {name: float((error(filtered(x, a, name)) / error(steps[..., 2:])).max()) for name in ("auto", "jax")}


def row(case: Case, mode: Mode, rounds: int) -> dict[str, Any]:
    contestants = calls(case, mode)
    first = {name: seconds(call) for name, call in contestants.items()}
    second = {name: seconds(call) for name, call in contestants.items()}
    quick = {name: call for name, call in contestants.items() if second[name] < 1}
    samples = measure(quick, rounds)
    samples |= measure({name: call for name, call in contestants.items() if name not in quick}, 3)
    held = case.y_bytes + case.x_bytes + case.coefficient_bytes
    memory = {name: growth(call) for name, call in contestants.items() if not name.endswith("fill")}
    ours = np.median(samples["auto"])
    print(
        f"{'':4} {'mode':17} {'contestant':12} {'median ms':>10} {'min':>8} {'/ auto':>7} {'first s':>8} {'memory':>7}"
    )
    for name, taken in samples.items():
        grown = memory.get(name)
        print(
            f"     {mode:17} {name:12} {np.median(taken):10.1f} {min(taken):8.1f} {np.median(taken) / ours:7.2f} "
            f"{first[name]:8.2f} {'' if grown is None else f'{grown / held:6.2f}x':>7}",
            flush=True,
        )
    return {
        "about": case.describe(),
        "milliseconds": samples,
        "first_seconds": first,
        "inputs_and_outputs_bytes": held,
        "peak_growth_bytes": memory,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="W1 …", help=f"of {', '.join(CASES)} (default: all)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    report: dict[str, Any] = {
        "machine": describe_machine(),
        "versions": versions(("jax", "jaxlib", "llvmlite", "numpy", "torch", "philtorch")),
        "torch_threads": torch.get_num_threads(),
        "rounds": options.rounds,
        "rows": {},
    }
    for name in options.names or CASES:
        case = case_named(CASES[name])
        print(f"{name}: {case.describe()}")
        for mode in MODES:
            report["rows"][f"{name} {mode}"] = row(case, mode, options.rounds)
    report["float32_error_of_steps"] = float32_errors()
    print("error over that of steps:", report["float32_error_of_steps"])
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
