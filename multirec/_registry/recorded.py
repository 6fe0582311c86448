"""Calls counted for `multirec bench record`: what a kernel is asked for, in sizes and types; never a value.

A process that is recorded has the folder for its counts in its environment. Its kernels are wrapped when they are
loaded, so a process that is not recorded has nothing in the way.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, TypeAlias

from .._calculus.derived import derived_vjp
from .._core.activated import Activated
from .._core.cascade import Cascade
from .._core.framed import Framed
from .._core.problem import Problem
from .._machine.threads import no_fork
from ..backend import BackendInfo, ForwardKernel, FusedKernel

__all__ = ["Direction", "watched"]

Direction: TypeAlias = Literal["forward", "backward"]
Call: TypeAlias = Callable[..., Any]
# what ends without a goodbye loses the calls of so many seconds at most
_EVERY = 1.0
# methods of kernels beside forward and vjp that compute, and what the call was
_OTHERS: dict[str, tuple[str, Direction]] = {
    "forward_sequences": ("sequences", "forward"),
    "vjp_sequences": ("sequences", "backward"),
    "cascade": ("sections", "forward"),
    "cascade_vjp": ("sections", "backward"),
    "forward_frames": ("frames", "forward"),
    "vjp_frames": ("frames", "backward"),
    "forward_activated": ("activated", "forward"),
    "vjp_activated": ("activated", "backward"),
}


@dataclass(frozen=True)
class _Key:
    """What tells calls apart."""

    kind: str
    backend: str
    problem: Any
    inputs: bool
    outputs: bool
    counted: str


class _Tally:
    """The counts of this process, and the file that they go to."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.begin()
        atexit.register(self.write)
        if hasattr(os, "register_at_fork"):
            # what the parent called is not the child's
            os.register_at_fork(after_in_child=self.begin)

    def begin(self) -> None:
        self.counts: dict[_Key, dict[Direction, int]] = {}
        self.written = 0.0

    def add(self, key: _Key, direction: Direction) -> None:
        with no_fork:
            found = self.counts.setdefault(key, {"forward": 0, "backward": 0})
            found[direction] += 1
            if time.monotonic() - self.written > _EVERY:
                self.write()

    def write(self) -> None:
        """Write all counts, as a whole or not at all; a program does not fail because its counts cannot be kept."""
        with no_fork:
            rows = [_row(key) | counts for key, counts in self.counts.items()]
            self.written = time.monotonic()
            part = self.folder / f".{os.getpid()}"
            try:
                part.write_text(json.dumps(rows))
                part.replace(self.folder / f"{os.getpid()}.json")
            except OSError:
                return


def watched(info: BackendInfo, kernel: ForwardKernel, folder: str) -> ForwardKernel:
    """Return a kernel that does what this one does, and has its calls counted in a file of this folder."""
    tally = _tally(folder)

    def counting(call: Call, kind: str, direction: Direction) -> Call:
        def counted(problem: Any, operands: Any, *rest: Any) -> Any:
            tally.add(_key(kind, info.name, problem, operands), direction)
            return call(problem, operands, *rest)

        return counted

    def direct(problem: Problem, form: Any) -> Any:
        bound = own.direct(problem, form)

        def forward(*arrays: Any) -> Any:
            tally.add(_key("recurrence", info.name, problem, arrays), "forward")
            return bound.forward(*arrays)

        def vjp(arrays: Any, *rest: Any) -> Any:
            tally.add(_key("recurrence", info.name, problem, arrays), "backward")
            return bound.vjp(arrays, *rest)

        return SimpleNamespace(forward=forward, vjp=vjp)

    def derived(*arguments: Any) -> Any:
        return derived_vjp(kernel, *arguments)

    own: Any = kernel
    parts = {name: getattr(own, name) for name in dir(own) if not name.startswith("_")}
    for name, (kind, direction) in _OTHERS.items():
        if name in parts:
            parts[name] = counting(parts[name], kind, direction)
    parts["forward"] = counting(own.forward, "recurrence", "forward")
    # a gradient that is made of forward calls is one backward call
    parts["vjp"] = counting(own.vjp if isinstance(own, FusedKernel) else derived, "recurrence", "backward")
    if "direct" in parts:
        parts["direct"] = direct
    found: Any = SimpleNamespace(**parts)
    kernel_like: ForwardKernel = found
    return kernel_like


_tally = lru_cache(_Tally)


def _key(kind: str, backend: str, problem: Any, operands: Any) -> _Key:
    x, *_, inputs, outputs = operands if kind in ("recurrence", "sequences", "frames") else (None, None, None)
    if kind == "activated":
        x = operands.signals[0]
    elif kind == "sections":
        x = operands.x
    jax = sys.modules.get("jax")
    traced = jax is not None and isinstance(x, jax.core.Tracer)
    return _Key(kind, backend, problem, inputs is not None, outputs is not None, "traces" if traced else "calls")


def _row(key: _Key) -> dict[str, Any]:
    """Return what a file says of a problem, but for its counts."""
    problem, detail = _described(key)
    named = {name: getattr(problem, name) for name in _NAMES}
    # a recurrence with an activation has neither
    named |= {name: getattr(problem, name, default) for name, default in _defaults(problem).items()}
    taps = {name: getattr(problem, name) for name in _TAPS if isinstance(problem, Problem)}
    return {
        "kind": key.kind,
        "detail": detail,
        "backend": key.backend,
        "counted": key.counted,
        **named,
        **{name: None if (own := taps.get(name)) is None else asdict(own) for name in _TAPS},
        "inputs": key.inputs,
        "outputs": key.outputs,
    }


_NAMES = "family", "device", "dtype", "compute_dtype", "layout", "reverse", "batch", "channels", "length"
_TAPS = "feedforward", "feedback"


def _defaults(problem: Any) -> dict[str, Any]:
    return {"y_dtype": problem.dtype, "x_channels": problem.channels}


def _described(key: _Key) -> tuple[Any, str]:
    """Return a call's problem, and in words what its sizes do not say."""
    problem = key.problem
    if isinstance(problem, Framed):
        return problem.problem, f"a frame of coefficients every {problem.hop} samples"
    if isinstance(problem, Cascade):
        return problem, f"{problem.sections} second-order sections"
    if isinstance(problem, Activated):
        return (
            problem,
            problem.kind if problem.activation == "identity" else f"{problem.kind} with {problem.activation}",
        )
    return problem, "several sequences in a row of time" if key.kind == "sequences" else ""
