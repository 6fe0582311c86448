"""Times the eight workloads of the project against what their memory traffic costs, and against installed peers.

Every row is measured in interleaved rounds in one process: the library, the copy or fill of the same bytes, and the
peers. "limit" writes to memory that is there already, "fresh limit" to new memory, as every contestant does; a fill
is of new memory unless it is called warm. "numba, reused" is the library with `multirec.memory`: an output comes in the
memory of an earlier one. Run on an idle machine:

    python bench/workloads.py [--rounds 9] [--backend numba] [-o FILE.json] [W1 W5 …]
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import signal

import multirec as mr
from multirec import nn

Call = Callable[[], object]
_REUSED, _KEPT = ", reused", 4 << 30


@dataclass
class Workload:
    """One row: `forward` and `both` (forward and backward) by name of contestant; `limit` is memory traffic alone."""

    about: str
    forward: dict[str, Call] = field(default_factory=dict)
    both: dict[str, Call] = field(default_factory=dict)


def stable_biquads(channels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return band-pass designs (b, a) of SciPy's form, poles between 0.9 and 0.99."""
    rng = np.random.default_rng(seed)
    radius, angle = 0.9 + 0.09 * rng.random(channels), 0.05 + 3.0 * rng.random(channels)
    a = np.stack([np.ones(channels), -2 * radius * np.cos(angle), radius**2], -1)
    b = np.stack([1 - radius, np.zeros(channels), radius - 1], -1)
    return b.astype(np.float32), a.astype(np.float32)


def fill(shape: tuple[int, ...], dtype: Any = np.float32) -> Call:
    return lambda: np.empty(shape, dtype).fill(1)


def copy(source: np.ndarray) -> Call:
    target = np.empty_like(source)
    return lambda: np.copyto(target, source)


def fresh_copy(source: np.ndarray) -> Call:
    return lambda: np.copyto(np.empty_like(source), source)


def train(call: Callable[..., torch.Tensor], inputs: list[torch.Tensor], grad: torch.Tensor) -> Call:
    def step() -> None:
        torch.autograd.grad(call(*inputs), inputs, grad)

    return step


def leaves(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(np.ascontiguousarray(array)).requires_grad_() for array in arrays]


def quiet(call: Callable[..., object], *arguments: Any) -> Call:
    def run() -> None:
        with torch.no_grad():
            call(*arguments)

    return run


def static_bank(
    about: str, shape: tuple[int, int, int], channels: int, b: np.ndarray, a: np.ndarray, backend: str
) -> Workload:
    """Return a bank on x of `shape` (batch, 1 or channels, time)."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal(shape, dtype=np.float32)
    y_shape = (shape[0], channels, shape[2])
    grad = torch.from_numpy(rng.standard_normal(y_shape, dtype=np.float32))
    inputs = leaves(x, b, -a[:, 1:])

    def bank(x: torch.Tensor, b: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        return mr.recurrence(x, feedforward=b, feedback=a, backend=backend)[0]

    dense = shape[1] != 1
    work = Workload(about)
    work.forward["limit"] = copy(x) if dense else fill(y_shape)
    if not dense:
        target = torch.empty(y_shape)
        work.forward["warm fill"] = lambda: target.fill_(1)
    if dense:
        work.forward["fresh limit"] = fresh_copy(x)
    work.forward[backend] = quiet(bank, *inputs)
    work.both[backend] = train(bank, inputs, grad)
    work.both["y.sum()"] = lambda: torch.autograd.grad(bank(*inputs).sum(), inputs)
    work.both["limit"] = backward_limit(y_shape, dense)
    if shape[0] * channels <= 8192:
        work.forward["scipy"] = lambda: [signal.lfilter(b[c], a[c], x[:, c if dense else 0]) for c in range(channels)]
    for name, peer in static_peers(b, a):
        work.forward[name] = quiet(peer, *inputs)
        work.both[name] = train(peer, inputs, grad)
    return work


def backward_limit(y_shape: tuple[int, ...], dense: bool) -> Call:
    """Return the least traffic of a training step: y written, its gradient read, and for a dense x both again."""
    source, target = np.ones(y_shape, np.float32), np.empty(y_shape, np.float32)

    def move() -> None:
        np.empty(y_shape, np.float32).fill(1)
        if dense:
            np.add(source, source, out=target)
        source.sum()

    return move


def static_peers(b: np.ndarray, a: np.ndarray) -> Iterator[tuple[str, Callable[..., torch.Tensor]]]:
    try:
        from torchaudio.functional import lfilter
    except (ImportError, OSError):
        return

    def torchaudio(x: torch.Tensor, b: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        a = torch.cat([torch.ones_like(a[:, :1]), -a], -1)
        wide = x.expand(-1, b.shape[0], -1)
        length = max(a.shape[-1], b.shape[-1])
        b, a = (torch.nn.functional.pad(taps, (0, length - taps.shape[-1])) for taps in (b, a))
        return lfilter(wide, a, b, clamp=False)

    yield "torchaudio", torchaudio


def w1(backend: str) -> Workload:
    return static_bank(
        "x[32,16000] shared → y[32,128,16000], order 2", (32, 1, 16000), 128, *stable_biquads(128), backend
    )


def w2(backend: str) -> Workload:
    return static_bank("x[32,128,16000], order 2", (32, 128, 16000), 128, *stable_biquads(128), backend)


def w3(backend: str) -> Workload:
    return static_bank("x[2,10000000], order 2", (1, 2, 10_000_000), 2, *stable_biquads(2), backend)


def w4(backend: str) -> Workload:
    rng = np.random.default_rng(4)
    roots = 0.8 * rng.random((32, 8)) * np.exp(1j * np.pi * rng.random((32, 8)))
    a = np.stack([np.poly(np.concatenate([r, r.conj()])).real for r in roots]).astype(np.float32)
    b = rng.standard_normal((32, 17), dtype=np.float32)
    return static_bank("x[16,1,48000] → [16,32,48000], order 16", (16, 1, 48000), 32, b, a, backend)


def w5(backend: str) -> Workload:
    rng = np.random.default_rng(5)
    shape = (8, 1024, 4096)
    x = rng.standard_normal(shape, dtype=np.float32)
    gate = rng.uniform(0.5, 0.999, (*shape, 1)).astype(np.float32)
    inputs = leaves(x, gate)
    grad = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
    target = np.empty(shape, np.float32)

    def gated(x: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        return mr.recurrence(x, feedback=gate, backend=backend)[0]

    work = Workload("time-varying order 1, [8,1024,4096]")
    work.forward["limit"] = lambda: np.multiply(x, gate[..., 0], out=target)
    work.forward["fresh limit"] = lambda: np.multiply(x, gate[..., 0], out=np.empty(shape, np.float32))
    work.forward[backend] = quiet(gated, *inputs)
    work.both[backend] = train(gated, inputs, grad)

    def move() -> None:
        np.multiply(x, gate[..., 0], out=target)
        np.multiply(x, target, out=target)
        np.copyto(target, x)

    work.both["limit"] = move
    try:
        from philtorch.lpv import linear_recurrence

        def philtorch(x: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
            rows = x.flatten(0, 1)
            return linear_recurrence(gate[..., 0].flatten(0, 1), rows.new_zeros(rows.shape[0]), rows).view_as(x)

        work.forward["philtorch"] = quiet(philtorch, *inputs)
        work.both["philtorch"] = train(philtorch, inputs, grad)
    except ImportError:
        pass
    return work


def w6(backend: str) -> Workload:
    torch.manual_seed(6)
    layer = nn.RecurrenceLayer(256, 256, order=2, backend=backend)
    linear, rnn = torch.nn.Linear(256, 256), torch.nn.RNN(256, 256)
    x = torch.randn(1024, 32, 256, requires_grad=True)
    grad = torch.randn(1024, 32, 256)
    modules: dict[str, Callable[..., torch.Tensor]] = {
        backend: lambda x: layer(x)[0],
        "limit": linear,
        "nn.RNN": lambda x: rnn(x)[0],
    }
    parameters = {
        backend: list(layer.parameters()),
        "limit": list(linear.parameters()),
        "nn.RNN": list(rnn.parameters()),
    }
    work = Workload("RecurrenceLayer(256→256), order 2, T=1024, B=32; the limit is nn.Linear alone")
    for name, call in modules.items():
        work.forward[name] = quiet(call, x)
        inputs = [x, *parameters[name]]
        work.both[name] = lambda call=call, inputs=inputs: torch.autograd.grad(call(x), inputs, grad)
    return work


def w7(backend: str) -> Workload:
    b, a = stable_biquads(128)
    x = np.random.default_rng(7).standard_normal((1, 128, 256), dtype=np.float32)
    bank = mr.RecurrenceBank(feedforward=b, feedback=-a[:, 1:], backend=backend)
    _, state = bank(x)
    tensor = torch.from_numpy(x)
    torch_bank = mr.RecurrenceBank(
        feedforward=torch.from_numpy(b), feedback=torch.from_numpy(-a[:, 1:].copy()), backend=backend
    )
    _, torch_state = torch_bank(tensor)
    work = Workload("[1,128,256] chunks with state, one call")
    work.forward["limit"] = copy(x)
    work.forward[backend] = lambda: bank(x, state)
    work.forward["from torch"] = quiet(torch_bank, tensor, torch_state)
    zi = np.zeros((128, 1, 2), np.float32)
    work.forward["scipy (per filter)"] = lambda: [signal.lfilter(b[c], a[c], x[:, c], zi=zi[c]) for c in range(128)]
    add_small_calls(work, backend)
    return work


def add_small_calls(work: Workload, backend: str) -> None:
    """Add calls on x[1, 4, 64], order 2, whose time is the cost of calling, beside those of a linear layer."""
    b, a = stable_biquads(4)
    x, feedback = np.ones((1, 4, 64), np.float32), -a[:, 1:].copy()

    def filtered(x: torch.Tensor, b: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        return mr.recurrence(x, feedforward=b, feedback=a, backend=backend)[0]

    inputs, linear = leaves(x, b, feedback), torch.nn.Linear(64, 64)
    grad = torch.ones(1, 4, 64)
    work.forward["x[1,4,64]"] = lambda: mr.recurrence(x, feedforward=b, feedback=feedback, backend=backend)
    work.forward["x[1,4,64] from torch"] = quiet(filtered, *inputs)
    work.forward["x[1,4,64] nn.Linear"] = quiet(linear, inputs[0])
    work.both["limit"] = copy(x)
    work.both["x[1,4,64] from torch"] = train(filtered, inputs, grad)
    whole = [inputs[0], *linear.parameters()]
    work.both["x[1,4,64] nn.Linear"] = lambda: torch.autograd.grad(linear(inputs[0]), whole, grad)


def w8(backend: str) -> Workload:
    rng = np.random.default_rng(8)
    shape = (8, 256, 4096)
    x = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)
    pole = (0.95 * np.exp(1j * rng.uniform(0, 3, (256, 1)))).astype(np.complex64)
    inputs = leaves(x, pole)
    grad = torch.from_numpy((rng.standard_normal(shape) + 1j).astype(np.complex64))

    def resonators(x: torch.Tensor, pole: torch.Tensor) -> torch.Tensor:
        return mr.recurrence(x, feedback=pole, backend=backend)[0]

    work = Workload("static complex64 order 1, [8,256,4096]")
    work.forward["limit"] = copy(x)
    work.forward["fresh limit"] = fresh_copy(x)
    work.forward[backend] = quiet(resonators, *inputs)
    work.both["limit"] = copy(x)
    work.both[backend] = train(resonators, inputs, grad)
    return work


WORKLOADS = {"W1": w1, "W2": w2, "W3": w3, "W4": w4, "W5": w5, "W6": w6, "W7": w7, "W8": w8}


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
            if name.endswith(_REUSED):
                mr.memory.set_limit(_KEPT)
                calls[name]()
            start = time.perf_counter_ns()
            for _ in range(repeat):
                calls[name]()
            samples[name].append((time.perf_counter_ns() - start) / 1e6 / repeat)
            mr.memory.set_limit(0)
    return samples


def installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="W1 …", help="rows to measure (default: all)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--backend", default="numba")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    report: dict[str, Any] = {
        "machine": platform.processor() or platform.machine(),
        "threads": mr.num_threads(),
        "torch_threads": torch.get_num_threads(),
        "versions": {
            name: installed(name) for name in ("torch", "llvmlite", "numpy", "scipy", "torchaudio", "philtorch")
        },
        "rounds": options.rounds,
        "rows": {},
    }
    print(f"{'row':4} {'mode':9} {'contestant':20} {'median':>10} {'min':>10} {'/ limit':>8}")
    for name in options.names or WORKLOADS:
        work = WORKLOADS[name](options.backend)
        for mode in ("forward", "both"):
            calls = getattr(work, mode)
            if options.backend in calls:
                calls[options.backend + _REUSED] = calls[options.backend]
            samples = measure(calls, options.rounds)
            if not samples:
                continue
            # ratios are taken round by round, which cancels the drift of the machine
            limit = np.array(samples["limit"])
            for contestant, taken in samples.items():
                ratio = float(np.median(np.array(taken) / limit))
                print(
                    f"{name:4} {mode:9} {contestant:20} {np.median(taken):10.3f} {min(taken):10.3f} {ratio:8.2f}",
                    flush=True,
                )
            report["rows"][f"{name} {mode}"] = {"about": work.about, "milliseconds": samples}
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
