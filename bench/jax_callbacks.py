"""Times four ways in which a program of JAX's can call a NumPy kernel on the host.

* foreign: XLA calls a C function on its own buffers, as multirec does
* pure: `jax.pure_callback`
* python: jaxlib's callback below it, without the way of the operands through `device_put` (private)
* buffer: `jax.experimental.buffer_callback`, on XLA's own buffers

Everything else is the same: the library's primitives, derivatives and kernel. All are measured in interleaved rounds of
one process. What is shown is the shortest time, the median of the ratios within a round, and the growth of the process
at the peak of one call. Run on an idle machine:

    python bench/jax_callbacks.py [--rounds 9] [-o FILE.json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from itertools import compress
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax._src.callback import emit_python_callback
from jax.experimental.buffer_callback import buffer_callback
from jax.extend.core import Primitive
from jax.interpreters import mlir

import multirec as mr
from multirec._engine.plan import plan_for
from multirec._jax import compute, host_call
from multirec._jax.buffers import Kind
from multirec._machine.address import address
from multirec._machine.libc import want_huge_pages
from multirec.backend import Needs, Operands

Call = Callable[[], object]
Arrays = Sequence[Any]
SMALL = 100


def host_work(plan: Any, given: Any, wanted: Any) -> Callable[..., list[Any]]:
    """Return the kernel as a function of NumPy arrays: what a foreign call does, without XLA's buffers."""
    problem = plan.problem
    choice = problem.__class__(**{name: getattr(problem, name) for name in problem.__slots__} | {"family": "numpy"})
    own = plan_for(choice, plan.info.name)

    def work(*parts: Any, into: Any = None) -> list[Any]:
        rest = iter(map(np.asarray, parts))
        operands = Operands(*(next(rest) if there else None for there in given))
        if wanted is None:
            return list(own.forward(operands, into))
        y, grad_y, grad_last = rest
        return list(compress(own.vjp(operands, y, grad_y, None, grad_last, Needs(*wanted), into), wanted))

    return work


def pure(plan: Any, given: Any, wanted: Any, parts: Arrays, results: Arrays) -> list[Any]:
    likes = [jax.ShapeDtypeStruct(result.shape, result.dtype) for result in results]
    return list(jax.pure_callback(host_work(plan, given, wanted), likes, *parts))


def python(plan: Any, given: Any, wanted: Any, parts: Arrays, results: Arrays) -> list[Any]:
    avals = tuple(jax.core.ShapedArray(result.shape, result.dtype) for result in results)
    return list(python_p.bind(*parts, work=host_work(plan, given, wanted), avals=avals))


def lower_python(context: Any, *parts: Any, work: Callable[..., list[Any]], avals: Any) -> Any:
    found = emit_python_callback(
        context, work, None, list(parts), context.avals_in, avals, has_side_effect=False, returns_token=False
    )
    return found[0]


python_p: Any = Primitive("python_call")
python_p.multiple_results = True
python_p.def_abstract_eval(lambda *_, work, avals: avals)
mlir.register_lowering(python_p, lower_python, cacheable=False)


def buffer(plan: Any, given: Any, wanted: Any, parts: Arrays, results: Arrays) -> list[Any]:
    work = host_work(plan, given, wanted)
    kinds = [Kind(result.shape, str(result.dtype)) for result in results]

    def into(_: Any, out: Any, *parts: Any) -> None:
        out = [np.asarray(part) for part in out]
        for part in out:
            if part.nbytes >= host_call._LARGE:
                want_huge_pages(address(part), part.nbytes)
        found = work(*parts, into=host_call._Into(plan, out[0], kinds[0]))
        for array, result in zip(found, out, strict=True):
            if address(array) != address(result):
                result[...] = array

    likes = [jax.ShapeDtypeStruct(result.shape, result.dtype) for result in results]
    return list(buffer_callback(into, likes)(*parts))


WAYS = {"foreign": host_call.call, "pure": pure, "python": python, "buffer": buffer}


def cases() -> dict[str, tuple[Any, Any, Any]]:
    """Return x, feedforward and feedback of each case."""
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> Any:
        return jnp.asarray(rng.standard_normal(shape), jnp.float32)

    biquads = jnp.asarray(np.tile([[1.6, -0.8]], (128, 1)), jnp.float32)
    gates = jnp.asarray(rng.uniform(0.5, 1, (8, 1024, 4096, 1)), jnp.float32)
    return {
        "x[1, 4, 64], order 2": (draw(1, 4, 64), None, 0.1 * draw(4, 2)),
        "W1: x[32, 1, 16000] to 128 biquads": (draw(32, 1, 16000), draw(128, 3), biquads),
        "x[8, 1024, 4096], gates of order 1": (draw(8, 1024, 4096), None, gates),
    }


def compiled(way: Any, x: Any, b: Any, a: Any) -> tuple[Call, Call]:
    """Return calls of the forward, and of forward and backward."""
    given = [part for part in (x, b, a) if part is not None]

    def y(*arrays: Any) -> Any:
        x, *taps = arrays
        b, a = taps if len(taps) == 2 else (None, *taps)
        return mr.recurrence(x, feedforward=b, feedback=a, backend="numba")[0]

    both = jax.grad(lambda *arrays: (y(*arrays) ** 2).sum(), tuple(range(len(given))))
    compute.call = way
    # the library's own compiled functions hold the way that was there before
    jax.clear_caches()
    forward, train = (jax.jit(function).lower(*given).compile() for function in (y, both))
    return partial(run, forward, given), partial(run, train, given)


def run(function: Any, given: Any) -> None:
    jax.block_until_ready(function(*given))


def seconds(call: Call, times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) / times


def growth(call: Call) -> int:
    """Return by how many bytes the process grows at most during a call."""
    Path("/proc/self/clear_refs").write_text("5")
    before = memory("VmRSS")
    call()
    return memory("VmHWM") - before


def memory(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def row(calls: dict[str, Call], rounds: int, times: int) -> dict[str, Any]:
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            samples[name].append(seconds(call, times))
    grown = {name: growth(call) for name, call in calls.items()}
    ours = np.array(samples["foreign"])
    for name, taken in samples.items():
        ratio = np.median(np.array(taken) / ours)
        print(f"    {name:8} {min(taken) * 1e3:9.3f} ms {ratio:6.2f} × foreign {grown[name] / 2**20:8.1f} MiB")
    return {"seconds": samples, "peak_growth_bytes": grown}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    report: dict[str, Any] = {
        "command": f"python bench/jax_callbacks.py --rounds {options.rounds}",
        "machine": {"system": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version()},
        "versions": {name: version(name) for name in ("jax", "jaxlib", "numpy", "llvmlite")},
        "rows": {},
    }
    for about, (x, b, a) in cases().items():
        ways = {name: compiled(way, x, b, a) for name, way in WAYS.items()}
        for index, mode in enumerate(("forward", "forward and backward")):
            print(f"{about}: {mode}")
            calls = {name: both[index] for name, both in ways.items()}
            report["rows"][f"{about}: {mode}"] = row(calls, options.rounds, SMALL if x.size < 10**4 else 1)
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
