"""Times `multirec.signal` and cascades next to SciPy and, where it is installed, torchaudio: their own calls in turn.

Before a row is timed, all results of it are compared. Run on an idle machine:

    python bench/filters.py [row …] [--rounds 7] [-o FILE.json]
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import scipy.signal
import torch
from overhead import cpu_name

import multirec as mr
from multirec import signal

Calls = dict[str, Callable[[], Any]]
RNG = np.random.default_rng(0)
PEERS = find_spec("torchaudio") is not None


def bank(count: int) -> np.ndarray:
    """Return third-octave-like band-pass filters of 8 sections, (count, 8, 6)."""
    edges = np.geomspace(100, 5000, count)
    return np.stack([scipy.signal.butter(8, [low, 1.4 * low], "band", fs=16000, output="sos") for low in edges])


def sections_forward() -> Calls:
    """8 sections over [32, 16000], shared by 64 filters, float32."""
    x, sos = RNG.standard_normal((32, 1, 16000)).astype("float32"), bank(64).astype("float32")
    calls: Calls = {
        "multirec": lambda: signal.sosfilt(sos, x),
        "SciPy, looped": lambda: np.stack([scipy.signal.sosfilt(own, x[:, 0]) for own in sos], axis=1),
    }
    if PEERS:
        tensor, sections = torch.from_numpy(x), torch.from_numpy(sos)
        calls["torchaudio"] = lambda: in_turn(tensor, sections)
    return calls


def sections_with_gradient() -> Calls:
    """The same with the gradient of the sections."""
    x, own = torch.from_numpy(RNG.standard_normal((32, 1, 16000)).astype("float32")), bank(64).astype("float32")
    sos = torch.from_numpy(own).requires_grad_()
    weight = torch.randn(32, 64, 16000)

    def trained(run: Callable[[], torch.Tensor]) -> Callable[[], np.ndarray]:
        def call() -> np.ndarray:
            sos.grad = None
            run().backward(weight)
            assert sos.grad is not None
            return sos.grad.numpy()

        return call

    calls: Calls = {"multirec": trained(lambda: signal.sosfilt(sos, x))}
    if PEERS:
        calls["torchaudio"] = trained(lambda: in_turn(x, sos))
    return calls


def in_turn(x: torch.Tensor, sos: torch.Tensor) -> torch.Tensor:
    """Run torchaudio's filters section by section, as its users do."""
    from torchaudio.functional import lfilter

    y = x.expand(-1, len(sos), -1)
    for index in range(sos.shape[1]):
        y = lfilter(y, sos[:, index, 3:], sos[:, index, :3], clamp=False, batching=True)
    return y


def long_stereo() -> Calls:
    """10 minutes of stereo at 48 kHz, 10 sections, float64."""
    x = RNG.standard_normal((2, 28_800_000))
    sos = scipy.signal.butter(10, [200, 8000], "band", fs=48000, output="sos")
    return {"multirec": lambda: signal.sosfilt(sos, x), "SciPy": lambda: scipy.signal.sosfilt(sos, x)}


def both_ways() -> Calls:
    """64 × 100 000 samples, sosfiltfilt of order 4, float64."""
    x, sos = RNG.standard_normal((64, 100_000)), scipy.signal.butter(4, [1, 40], "band", fs=250, output="sos")
    return {"multirec": lambda: signal.sosfiltfilt(sos, x), "SciPy": lambda: scipy.signal.sosfiltfilt(sos, x)}


def small() -> Calls:
    """lfilter of one channel, 256 samples, order 2, float64."""
    x, (b, a) = RNG.standard_normal(256), scipy.signal.butter(2, 0.1)
    return {"multirec": lambda: signal.lfilter(b, a, x), "SciPy": lambda: scipy.signal.lfilter(b, a, x)}


def long_fir() -> Calls:
    """512 taps over one row of a million samples, float64."""
    x, b = RNG.standard_normal(1_000_000), scipy.signal.firwin(512, 0.3)
    return {"multirec": lambda: signal.lfilter(b, [1.0], x), "SciPy": lambda: scipy.signal.lfilter(b, [1.0], x)}


ROWS: dict[str, Callable[[], Calls]] = {
    row.__name__: row for row in (sections_forward, sections_with_gradient, long_stereo, both_ways, small, long_fir)
}


def timed(call: Callable[[], Any], many: int) -> float:
    gc.collect()
    start = time.perf_counter()
    for _ in range(many):
        call()
    return (time.perf_counter() - start) / many


def check(row: str, calls: Calls) -> dict[str, float]:
    """Return how far each result is from the first one, over its largest value; raise where it is another result."""
    results = {name: np.asarray(call(), dtype=float) for name, call in calls.items()}
    first = results["multirec"]
    off = {name: float(np.abs(own - first).max() / np.abs(first).max()) for name, own in results.items()}
    if not all(found < 1e-3 for found in off.values()):
        raise SystemExit(f"{row}: results differ by {off}")
    return off


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", choices=[*ROWS, []], default=[])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    found: dict[str, Any] = {"about": about(options.rounds), "rows": {}}
    for row in options.rows or ROWS:
        calls = ROWS[row]()
        off, many = check(row, calls), 2000 if row == "small" else 1
        seconds: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(options.rounds):
            for index in RNG.permutation(len(calls)):
                name = list(calls)[index]
                seconds[name].append(timed(calls[name], many))
        found["rows"][row] = {"what": ROWS[row].__doc__, "seconds": seconds, "off": off}
        print(row, "—", ROWS[row].__doc__)
        for name, own in seconds.items():
            ratio = np.median(np.array(own) / np.array(seconds["multirec"]))
            print(f"  {name:14} {np.median(own) * 1e3:10.4g} ms   {ratio:7.2f} times multirec's, by the round")
    if options.output:
        options.output.write_text(json.dumps(found, indent=1) + "\n")


def about(rounds: int) -> dict[str, Any]:
    """Return what the figures are of."""
    versions = {"multirec": mr.__version__}
    for name in ("numpy", "scipy", "torch", "torchaudio", "llvmlite"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "cpu": cpu_name(),
        "threads": mr.num_threads(),
        "torch_threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": versions,
        "rounds": rounds,
    }


if __name__ == "__main__":
    main()
