"""Times what a call costs before any arithmetic: small calls from NumPy and torch, in microseconds.

Calls take turns in one process, next to operations of the libraries themselves (`torch.add`, `nn.Linear`). With another
checkout, each has a process of its own and the two take turns. Run on an idle machine:

    git worktree add /tmp/before main~1
    python bench/overhead.py [--before /tmp/before] [--rounds 15] [-o FILE.json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np

Call = Callable[[], object]
CALLS = 100


def rows() -> dict[str, Call]:
    """Return small calls by name."""
    import torch

    import multirec as mr
    from multirec import nn

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)

    def noise(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    x, a, b = noise(1, 4, 64), 0.3 * noise(4, 2), noise(4, 3)
    tx, ta, tb = map(torch.from_numpy, (x, a, b))
    learnt = tx.clone().requires_grad_(), ta.clone().requires_grad_(), tb.clone().requires_grad_()
    linear, source = torch.nn.Linear(64, 64), tx.clone().requires_grad_()

    def train() -> None:
        own, feedback, feedforward = learnt
        mr.recurrence(own, feedback=feedback, feedforward=feedforward)[0].sum().backward()

    def train_linear() -> None:
        linear(source).sum().backward()

    chunk, many_a, many_b = noise(1, 128, 256), 0.3 * noise(128, 2), noise(128, 3)
    bank = mr.RecurrenceBank(feedback=many_a, feedforward=many_b)
    torch_chunk = torch.from_numpy(chunk)
    torch_bank = mr.RecurrenceBank(feedback=torch.from_numpy(many_a), feedforward=torch.from_numpy(many_b))
    _, state = bank(chunk)
    _, torch_state = torch_bank(torch_chunk)
    small = mr.RecurrenceBank(feedback=a, feedforward=b)
    sample = x[..., 0]
    _, small_state = small.step(sample)
    double = mr.RecurrenceBank(feedback=a.astype(float), feedforward=b.astype(float))
    _, double_state = double.step(sample)
    found: dict[str, Call] = {
        "torch.add": lambda: tx + tx,
        "Linear, forward+backward": train_linear,
        "NumPy [1,4,64]": lambda: mr.recurrence(x, feedback=a, feedforward=b),
        "torch [1,4,64]": lambda: mr.recurrence(tx, feedback=ta, feedforward=tb),
        "torch [1,4,64], forward+backward": train,
        "W7 NumPy [1,128,256], state": lambda: bank(chunk, state),
        "W7 torch [1,128,256], state": lambda: torch_bank(torch_chunk, torch_state),
        "RecurrenceBank.step": lambda: small.step(sample, small_state),
        "RecurrenceBank.step, float64 coefficients": lambda: double.step(sample, double_state),
    }
    cell, layer = torch.nn.GRUCell(128, 128), nn.RecurrenceLayer(128, 128)
    one, hidden = torch.zeros(4, 128), torch.zeros(4, 128)
    with torch.no_grad():
        _, layer_state = layer(one[None])

    def without_gradient(call: Call) -> Call:
        def run() -> None:
            with torch.no_grad():
                call()

        return run

    found["GRUCell(128)"] = without_gradient(lambda: cell(one, hidden))
    found["RecurrenceLayer(128), T=1"] = without_gradient(lambda: layer(one[None], layer_state))
    if hasattr(layer, "step"):
        found["RecurrenceLayer(128).step"] = without_gradient(lambda: layer.step(one, layer_state))
    filters = nn.BandpassBank(128, sample_rate=16000)
    if hasattr(filters, "freeze"):
        filters = filters.freeze()
    block = torch.from_numpy(noise(1, 1, 160))
    with torch.no_grad():
        _, filters_state = filters(block)
    found["BandpassBank(128), frozen, 160 samples"] = without_gradient(lambda: filters(block, filters_state))
    return found


def work() -> None:
    """Time a row for every name that comes in, and say the microseconds of a call."""
    calls = rows()
    print(json.dumps(list(calls)), flush=True)
    for line in sys.stdin:
        call = calls[line.strip()]
        call()
        start = time.perf_counter_ns()
        for _ in range(CALLS):
            call()
        print((time.perf_counter_ns() - start) / 1e3 / CALLS, flush=True)


class Checkout:
    """A process that times rows of a checkout when it is asked to."""

    def __init__(self, root: Path) -> None:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(str(root / part) for part in ("", "backends"))}
        command = [sys.executable, str(Path(__file__).resolve()), "--worker"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, cwd=root, env=environment, **pipes)
        self.names: list[str] = json.loads(self._line())

    def time(self, name: str) -> float:
        """Return the microseconds of one call."""
        assert self.process.stdin is not None
        print(name, file=self.process.stdin, flush=True)
        return float(self._line())

    def close(self) -> None:
        self.process.communicate()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return str(self.process.stdout.readline())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, help="a checkout to compare with")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work()
        return
    here = Path(__file__).resolve().parents[1]
    roots = {"now": here} | ({"before": options.before.resolve()} if options.before else {})
    checkouts = {name: Checkout(root) for name, root in roots.items()}
    taken: dict[str, dict[str, list[float]]] = {name: {row: [] for row in own.names} for name, own in checkouts.items()}
    rng = np.random.default_rng(0)
    for _ in range(options.rounds):
        turns = [(name, row) for name, own in checkouts.items() for row in own.names]
        for index in rng.permutation(len(turns)):
            name, row = turns[index]
            taken[name][row].append(checkouts[name].time(row))
    for own in checkouts.values():
        own.close()
    print(f"microseconds of a call, medians of {options.rounds} rounds of {CALLS} calls; {platform.machine()}")
    for row in checkouts["now"].names:
        medians = [f"{name} {np.median(of[row]):8.1f}" for name, of in taken.items() if row in of]
        print(f"{row:42}  {'   '.join(medians)}")
    if options.output:
        found = {"about": about(roots, options.rounds), "microseconds": taken}
        options.output.write_text(json.dumps(found, indent=1) + "\n")


def about(roots: dict[str, Path], rounds: int) -> dict[str, object]:
    """Return what the figures are of."""
    commits = {
        name: subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], cwd=root, text=True).strip()
        for name, root in roots.items()
    }
    return {
        "cpu": cpu_name(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "numpy", "llvmlite")},
        "commits": commits,
        "calls": CALLS,
        "rounds": rounds,
    }


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()
