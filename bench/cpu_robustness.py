"""What hard input, a new process and other threads cost the numba backend: `python bench/cpu_robustness.py`.

Silence after an impulse, growing filters and NaN, against noise through the same filters, in interleaved rounds. The
first result of a new process for x[32, 16000] -> y[32, 128, 16000], from the imports' end. How many threads run at
once in a training loop of a recurrent layer and torch's own products, sampled from outside.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import multirec as mr
from multirec.adjoint import vjp

FIRST = """
import time
import numpy as np, torch, multirec as mr
x = torch.randn(32, 1, 16000)
taps = torch.full((128, 2), 0.4)
start = time.perf_counter()
mr.recurrence(x, feedforward=taps, feedback=taps, backend="numba")
print(time.perf_counter() - start)
"""

LAYER = """
import sys, time
import torch, multirec as mr
from multirec import nn
kind, seconds = sys.argv[1], float(sys.argv[2])
if kind == "one":
    mr.set_num_threads(1)
layer = torch.nn.Linear(256, 256) if kind == "linear" else nn.RecurrenceLayer(256, 256, backend="numba")
optimizer = torch.optim.SGD(layer.parameters(), 1e-4)
x = torch.randn(1024, 32, 256)
def step():
    optimizer.zero_grad()
    out = layer(x)
    out = out if kind == "linear" else out[0]
    out.square().mean().backward()
    optimizer.step()
step(); step()
print("ready", flush=True)
count, start, used = 0, time.perf_counter(), time.process_time()
while time.perf_counter() - start < seconds:
    step()
    count += 1
wall = time.perf_counter() - start
print(wall / count * 1e3, (time.process_time() - used) / wall)
"""


def hard_inputs(rounds: int) -> None:
    print("input, against noise through the same filters (medians of ratios within a round)")
    rng = np.random.default_rng(0)
    for about, shape, order in (
        ("128 channels, order 2", (4, 128, 16000), 2),
        ("32 channels, order 16", (4, 32, 16000), 16),
        ("one long signal, order 2", (1, 1, 2_000_000), 2),
    ):
        a = np.zeros((shape[1], order), "float32")
        a[:, :2] = 1.6, -0.68
        growing = a * np.float32(1.2)
        noise, silence, lost = rng.standard_normal((3, *shape)).astype("float32")
        silence[...] = 0
        silence[..., 0] = silence[..., -1] = 1
        lost[..., 100] = np.nan
        calls = {"noise": (noise, a), "silence": (silence, a), "NaN": (lost, a), "growing": (noise, growing)}
        for mode, call in (("forward", _forward), ("gradient", _gradient)):
            ratios = _ratios({name: call(*arguments) for name, arguments in calls.items()}, rounds)
            print(f"  {about:26} {mode:9}", *(f"{name} {ratio:.2f}" for name, ratio in ratios.items()))


def _forward(x: np.ndarray, a: np.ndarray) -> Callable[[], object]:
    return lambda: mr.recurrence(x, feedback=a, backend="numba")


def _gradient(x: np.ndarray, a: np.ndarray) -> Callable[[], object]:
    y, _ = mr.recurrence(x, feedback=a, backend="numba")
    return lambda: vjp(x, x, feedback=a, y=y, backend="numba")


def _ratios(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    found: dict[str, list[float]] = {name: [] for name in calls}
    order = np.random.default_rng(0)
    for turn in range(rounds + 1):
        for index in order.permutation(len(calls)):
            name = list(calls)[index]
            start = time.perf_counter()
            calls[name]()
            if turn:
                found[name].append(time.perf_counter() - start)
    noise = np.array(found["noise"])
    return {name: float(np.median(np.array(taken) / noise)) for name, taken in found.items() if name != "noise"}


def first_results(processes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        taken = [_first(folder) for _ in range(processes + 1)]
    print(f"first result of a new process: {taken[0]:.3f} s with an empty cache, then")
    print(f"  {statistics.median(taken[1:]):.3f} s, {min(taken[1:]):.3f} to {max(taken[1:]):.3f} in {processes}")


def _first(folder: str) -> float:
    environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
    return float(subprocess.run([sys.executable, "-c", FIRST], env=environment, capture_output=True, check=True).stdout)


def running_threads(seconds: float) -> None:
    cores = len(os.sched_getaffinity(0))
    print(f"threads that run or wait for one of {cores} cores, in a training loop of RecurrenceLayer(256, 256)")
    for kind, about in (
        ("linear", "nn.Linear alone"),
        ("layer", "layer"),
        ("one", "layer, multirec.set_num_threads(1)"),
    ):
        command = [sys.executable, "-c", LAYER, kind, str(seconds)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        counts, end = [], time.perf_counter() + seconds
        while time.perf_counter() < end:
            counts.append(_runnable(process.pid))
            time.sleep(0.003)
        step, used = process.communicate()[0].split()
        mean, above = statistics.mean(counts), sum(count > cores for count in counts) / len(counts)
        print(
            f"  {about:36} mean {mean:.2f}, most {max(counts)}, above {cores} in {above:.1%} of {len(counts)} samples; "
            f"{float(used):.2f} cores used, {float(step):.0f} ms a step"
        )


def _runnable(process: int) -> int:
    """Count the threads of a process that run or could."""
    count = 0
    for task in Path(f"/proc/{process}/task").iterdir():
        try:
            count += (task / "stat").read_text().rpartition(")")[2].split()[0] == "R"
        except FileNotFoundError:  # it ended just now
            continue
    return count


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each training loop")
    options = parser.parse_args()
    hard_inputs(options.rounds)
    first_results(options.processes)
    running_threads(options.seconds)
