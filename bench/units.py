"""Times the recurrent units next to what they are made of, and next to torch's own: a table with the goals of each row.

Blocks are T=1024, B=32, 256→256, float32, sequence first; forward is without gradients, and backward is of all weights,
and of x in the row of `RecurrenceLayer`, which is W6 of bench/workloads.py. The goals of gated units are their
projection, an nn.Linear of the same size, plus two fresh multiplies of a block for each elementwise array (`ARRAYS`),
and twice that with backward. A `step` is of one sample, B=1, without gradients. A row's calls take turns in one
process, in a fresh order each round, and ratios are medians of the rounds' own. Run on an idle machine:

    python bench/units.py [row …] [--rounds 9] [--threads 2] [--clock process] [-o FILE.json]

With ``--clock process --threads 1`` it is the processor's time that counts: for a machine that has other work.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from overhead import cpu_name
from torch import Tensor

import multirec as mr
from multirec import nn as mnn

Call = Callable[[], Any]
Samples = dict[str, np.ndarray]
T, B, D = 1024, 32, 256
STEPS = 200
RNG = np.random.default_rng(0)
ARRAYS = {
    "QRNN": ("z", "f", "o", "gates", "values", "c", "outs"),
    "MinGRU": ("z", "h~", "gates", "values", "h"),
    "SRU v1": ("u", "f", "r", "gates", "values", "c", "outs"),
    "RGLRU": ("i", "r", "gates", "values", "scale", "h"),
}
"""What is elementwise in a unit: its gates, what its recurrence takes and gives, and what comes after."""
UNITS: dict[str, Callable[[], torch.nn.Module]] = {
    "RecurrenceLayer, order 2": lambda: mnn.RecurrenceLayer(D, D, order=2),
    "QRNN": lambda: mnn.QRNN(D, D),
    "MinGRU": lambda: mnn.MinGRU(D, D),
    "SRU v1": lambda: mnn.SRU(D, D, v1=True),
    "RGLRU": lambda: mnn.RGLRU(D, D),
    "SRU": lambda: mnn.SRU(D, D),
    "IndRNN": lambda: mnn.IndRNN(D, D),
    "MinLSTM": lambda: mnn.MinLSTM(D, D),
    "LRU": lambda: mnn.LRU(D, D),
    "RNN": lambda: mnn.RNN(D, D),
    "RGLRUBlock": lambda: mnn.RGLRUBlock(D, D),
}
PROJECTIONS = {
    "QRNN": (3,), "MinGRU": (2,), "SRU v1": (3,), "RGLRU": (2,), "SRU": (3,), "MinLSTM": (3,), "LRU": (2, 2),
    "RNN": (1, 1), "RGLRUBlock": (2, 2, 1),
}  # fmt: skip
"""What a unit projects with, in blocks of D; (1,) where it is not said. An LRU's second one is of 2·D features."""
PEERS: dict[str, Callable[[], torch.nn.Module]] = {
    "SRU": lambda: torch.nn.GRU(D, D),
    "IndRNN": lambda: torch.nn.RNN(D, D),
    "RecurrenceLayer, order 2": lambda: torch.nn.Linear(D, D),
}
GOALS = {"SRU": (2.0, 3.0), "IndRNN": (2.0, 2.0), "RecurrenceLayer, order 2": (1 / 1.3, 1 / 1.5)}
"""How many times as fast as its peer a unit is to be, forward and with backward."""
STEP_GOAL = 30.0


def forward(module: torch.nn.Module, x: Tensor) -> Call:
    def run() -> object:
        with torch.no_grad():
            return module(x)

    return run


def both(module: torch.nn.Module, x: Tensor) -> Call:
    wanted = [part for part in (x, *module.parameters()) if part.requires_grad]
    with torch.no_grad():
        made = module(x)
    grad = torch.randn_like(made[0] if isinstance(made, tuple) else made)

    def run() -> object:
        outs = module(x)
        return torch.autograd.grad(outs[0] if isinstance(outs, tuple) else outs, wanted, grad)

    return run


def steps(call: Call) -> Call:
    def run() -> None:
        with torch.no_grad():
            for _ in range(STEPS):
                call()

    return run


def taken(calls: dict[str, Call], rounds: int, clock: Callable[[], float]) -> Samples:
    """Return the seconds of each call by the round."""
    for call in calls.values():
        call()
    names, seconds = list(calls), {name: np.empty(rounds) for name in calls}
    for at in range(rounds):
        for index in RNG.permutation(len(names)):
            gc.collect()
            start = clock()
            found = calls[names[index]]()
            seconds[names[index]][at] = clock() - start
            del found
    return seconds


def blocks(name: str, rounds: int, clock: Callable[[], float]) -> dict[str, Samples]:
    """Return what a block takes, forward and with backward: the unit, its projection, a multiply, and its peer."""
    x, other = torch.randn(T, B, D, requires_grad=name.startswith("RecurrenceLayer")), torch.rand(T, B, D)
    modules = {"unit": UNITS[name]()}
    if name in ARRAYS:
        modules["projection"] = torch.nn.Linear(D, PROJECTIONS[name][0] * D)
    if name in PEERS:
        modules["peer"] = PEERS[name]()
    found = {}
    for mode, made in (("forward", forward), ("forward+backward", both)):
        calls: dict[str, Call] = {own: made(module, x) for own, module in modules.items()}
        if mode == "forward":
            calls["multiply"] = lambda: torch.mul(x.detach(), other)
        found[mode] = taken(calls, rounds, clock)
    return found


def step(name: str, rounds: int, clock: Callable[[], float]) -> Samples:
    """Return what a step takes, and its projections."""
    unit: Any = UNITS[name]()
    x = torch.randn(1, D)
    with torch.no_grad():
        _, state = unit(x[None])
    sizes = PROJECTIONS.get(name, (1,))
    seen = [2 * D if name == "LRU" and index else D for index in range(len(sizes))]
    linear = [torch.nn.Linear(i, (1 if i > D else o) * D) for i, o in zip(seen, sizes, strict=True)]
    given = [torch.randn(1, i) for i in seen]
    calls = {
        "unit": steps(lambda: unit.step(x, state)),
        "projections": steps(lambda: [own(part) for own, part in zip(linear, given, strict=True)]),
        "torch.mul": steps(lambda: torch.mul(x, x)),
    }
    return {own: part / STEPS for own, part in taken(calls, rounds, clock).items()}


def limits(name: str, samples: dict[str, Samples]) -> list[tuple[str, np.ndarray, str]]:
    """Return for both modes what a unit is compared with, its seconds by the round, and the limit of the ratio."""
    rows = []
    for index, (_, seconds) in enumerate(samples.items()):
        if name in PEERS:
            goal = GOALS[name][index]
            said = f">= {goal:g} times as fast" if goal > 1 else f"<= {1 / goal:g} times the time"
            peer = type(PEERS[name]()).__name__
            rows.append((f"nn.{peer}", seconds["peer"], said))
        elif name in ARRAYS:
            first = samples["forward"]
            budget = first["projection"] + 2 * len(ARRAYS[name]) * first["multiply"]
            rows.append((f"budget, {len(ARRAYS[name])} arrays", (1 + index) * budget, "<= 1 times the time"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="row", help=f"{', '.join(UNITS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=["wall", "process"], default="wall")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    mr.set_num_threads(options.threads)
    torch.manual_seed(0)
    clock = time.process_time if options.clock == "process" else time.perf_counter
    report: dict[str, Any] = {"about": about(options), "blocks": {}, "steps": {}}
    print(f"{'unit':25} {'mode':17} {'ms':>8}  {'against':18} {'ms':>8} {'time':>6} {'speed':>6}  goal")
    for name in options.rows or UNITS:
        if name not in PEERS | ARRAYS:
            continue
        samples = report["blocks"][name] = blocks(name, options.rounds, clock)
        for mode, (against, known, goal) in zip(samples, limits(name, samples), strict=True):
            own = samples[mode]["unit"]
            ratio = float(np.median(own / known))
            print(
                f"{name:25} {mode:17} {np.median(own) * 1e3:8.1f}  {against:18} {np.median(known) * 1e3:8.1f} "
                f"{ratio:6.2f} {1 / ratio:6.2f}  {goal}",
                flush=True,
            )
    print(f"\n{'unit':25} {'step, µs':>10} {'projections':>12} {'above':>7} {'in torch.mul':>13}  goal")
    for name in options.rows or UNITS:
        seconds = report["steps"][name] = step(name, options.rounds, clock)
        above = float(np.median(seconds["unit"] - seconds["projections"]))
        tiny = float(np.median(seconds["torch.mul"]))
        print(
            f"{name:25} {np.median(seconds['unit']) * 1e6:10.1f} {np.median(seconds['projections']) * 1e6:12.1f} "
            f"{above * 1e6:7.1f} {above / tiny:13.1f}  <= {STEP_GOAL:g} µs above",
            flush=True,
        )
    if options.output:
        options.output.write_text(json.dumps(report, indent=1, default=np.ndarray.tolist) + "\n")


def about(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the figures are of."""
    return {
        "cpu": cpu_name(),
        "threads": options.threads,
        "clock": options.clock,
        "rounds": options.rounds,
        "python": platform.python_version(),
        "versions": {"multirec": mr.__version__} | {name: version(name) for name in ("torch", "numpy", "llvmlite")},
        "shape": [T, B, D],
        "unit": "seconds",
    }


if __name__ == "__main__":
    main()
