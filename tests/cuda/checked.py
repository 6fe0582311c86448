"""Runs the emulated kernels against the oracle, and prints one JSON line for each check.

A program of its own, since the address sanitizer must be loaded before Python. The first pass only records which
kernels are asked for; these are then built; the second pass computes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
from cases import CASES, LONG
from cases.parts import Case
from emulated import SANITIZERS, EmulatedDevice, RecordingDevice, build
from multirec_backends.cupy._kernel import Kernel
from multirec_backends.cupy._plan import lanes
from stepped import stepped

import multirec as mr
from multirec._core.problem import real_precision
from multirec.backend import COMPLEX_DTYPES, HALF_DTYPES, REAL_DTYPES, BackendInfo, Needs, Operands, Problem, Taps
from multirec.testing.checks import CHECKS, Subject, checked, checks_of
from multirec.testing.libraries import NumpyLibrary

ORDERS_OF_THREADS = (0, 1, 7)
NAMES = ("y", "last", *(f"gradient of {name}" for name in Operands._fields))

door = SimpleNamespace(forward=None, vjp=None)
"""The kernel that the registered backend names; its methods are filled in for each pass."""


def register() -> None:
    info = BackendInfo(
        name="emulated_cuda",
        summary="the CUDA kernels on a CPU",
        kernel="checked:door",
        family="numpy",
        dtypes=HALF_DTYPES + REAL_DTYPES + COMPLEX_DTYPES,
        promise="bitwise",
    )
    mr.register_backend(info)


def conformance(dtypes: tuple[str, ...]) -> Iterator[tuple[str, bool, str]]:
    for dtype in dtypes:
        subject = Subject("emulated_cuda", NumpyLibrary(), dtype)
        # designed filters take minutes here: accuracy.py has trials of its own
        for name in (name for name in checks_of(subject) if name != "designed_filters"):
            tally = checked(CHECKS[name], subject)
            yield f"conformance {dtype} {name}", not tally.failures, str(tally)


def strides_of(shape: tuple[int, ...], layout: str, far: bool) -> tuple[int, ...]:
    """Return strides in elements: contiguous in a layout, sliced, or with the last row 2^31 elements away."""
    batch, channels, length = shape
    if far:
        row = -(-(1 << 31) // (batch * channels - 1)) if batch * channels > 1 else length
        return channels * row, row, 1
    pitch = length + 3
    steps = {
        "BCT": (channels * length, length, 1),
        "BTC": (channels * length, 1, channels),
        "sliced": (channels * pitch, pitch, 1),
    }
    return steps.get(layout, (channels, 1, batch * channels))


def in_host_memory(values: Any, layout: str, far: bool) -> Any:
    """Return a copy with such strides; only what is touched takes room."""
    strides = strides_of(values.shape, layout, far)
    count = 1 + sum((n - 1) * stride for n, stride in zip(values.shape, strides, strict=True)) if values.size else 1
    if far:
        memory: Any = np.frombuffer(mmap(-1, count * values.itemsize, MAP_PRIVATE | MAP_ANONYMOUS), values.dtype)
    else:
        memory = np.empty(count, values.dtype)
    steps = tuple(stride * values.itemsize for stride in strides)
    copy = np.lib.stride_tricks.as_strided(memory, values.shape, steps)
    copy[...] = values
    return copy


def taps_of(array: Any) -> Taps | None:
    """Return what coefficients are in canonical form."""
    if array is None:
        return None
    batch, channels, time, count = array.shape
    return Taps(batch, channels, time, count, str(array.dtype))


def coefficients(rng: Any, kind: str, sizes: tuple[int, int, int], count: int, dtype: str, feedback: bool) -> Any:
    shape = {"static": (1, sizes[1], 1), "varying": sizes, "gate": (1, 1, sizes[2]), "example": (*sizes[:2], 1)}[kind]
    values = rng.standard_normal((*shape, count))
    if dtype in COMPLEX_DTYPES:
        values = values + 1j * rng.standard_normal(values.shape)
    if feedback:
        values = 0.8 * values / np.maximum(np.abs(values).sum(-1, keepdims=True), 1)
    return values.astype(dtype)


def problem_of(
    rng: Any, *, sizes: tuple[int, int, int], dtype: str = "float32", b_dtype: str = "", p: int = 2, q: int = 2,
    a: str = "static", b: str = "static", layout: Any = "BCT", shared: bool = False, reverse: bool = False,
    poles: tuple[float, ...] = (), neighbour: tuple[float, ...] = (), growing: bool = False, silent: bool = False,
) -> tuple[Problem, Operands, Any, Any]:  # fmt: skip
    batch, channels, length = sizes
    taps_dtype = "float32" if dtype == "float16" else dtype
    y_dtype = b_dtype or dtype
    feedforward = coefficients(rng, b, sizes, q + 1, b_dtype or taps_dtype, False)
    feedback = coefficients(rng, a, sizes, p, taps_dtype, True)
    if poles:
        feedback[0, 1] = -np.poly(poles)[1:]
    if neighbour:
        feedback[0, 0] = -np.poly(neighbour)[1:]
    if growing:
        feedback *= 3
        feedback[..., 100:, :] *= 0.2

    def signal(own: int, count: int, kind: str) -> Any:
        return rng.standard_normal((batch, own, count)).astype(kind)

    x_channels = 1 if shared else channels
    b_taps, a_taps = (
        Taps(n, c, t, k, str(array.dtype)) for array in (feedforward, feedback) for n, c, t, k in [array.shape]
    )
    problem = Problem(
        *("numpy", "cpu", dtype, y_dtype, real_precision(y_dtype), layout, reverse),
        *(batch, channels, length, x_channels, b_taps, a_taps),
    )
    operands = Operands(
        signal(x_channels, length, dtype),
        feedforward,
        feedback if p else None,
        signal(x_channels, q, dtype),
        signal(channels, p, problem.state_dtype) if p else None,
    )
    grad_last = signal(channels, min(p, length), problem.state_dtype) if p else None
    grad_y = signal(channels, length, y_dtype)
    if silent:
        x, _, _, inputs, outputs = operands
        quiet: tuple[Any, ...] = (x[..., :-20], inputs, outputs, grad_last, grad_y[..., 20:])
        for part in quiet:
            part[...] = 0
    return problem, operands, grad_y, grad_last


def faults_of(
    kernel: Kernel, case: dict[str, Any], place: Any = in_host_memory, fetch: Any = np.asarray,
    family: Any = "numpy", device: str = "cpu", oracle: bool = True,
) -> list[str]:  # fmt: skip
    """Compute a case forward and backward; return what errs more than stepping, if that is asked for.

    `place(values, layout, far)` returns NumPy's values in the kernel's memory, `fetch` brings them back.
    """
    ways = ("far", "x_layout", "x_sliced", "frozen", "planned")
    far, x_layout, x_sliced, frozen = (case.get(way, False) for way in ways[:4])
    options = {name: value for name, value in case.items() if name not in ways}
    host, operands, grad_y, grad_last = problem_of(np.random.default_rng(0), **options)
    problem = replace(host, family=family, device=device)

    def put(values: Any) -> Any:
        return None if values is None else place(values, problem.layout, far)

    def put_x(values: Any) -> Any:
        # a slice begins in the midst of a word
        whole = np.pad(values, ((0, 0), (1, 1), (0, 0))) if x_sliced else values
        placed = place(whole, x_layout or problem.layout, far)
        return placed[:, 1:-1] if x_sliced else placed

    def put_taps(values: Any) -> Any:
        shape = (*values.shape[:2], values.shape[2] * values.shape[3])
        return place(values.reshape(shape), "BCT", False).reshape(values.shape)

    def allocate(channels: int, dtype: str) -> Any:
        return put(np.full((problem.batch, channels, problem.length), np.nan, dtype))

    x, feedforward, feedback, inputs, outputs = operands
    given = Operands(
        put_x(x),
        put_taps(feedforward),
        None if feedback is None else put_taps(feedback),
        put(inputs),
        put(outputs),
    )
    # what is planned for sizes that would take too long here; the gradient's plan is made with it
    with patch.multiple(lanes, **({"FEWEST_LINES": lanes.FEWEST_LINES} | case.get("planned", {}))):
        y = kernel.forward(problem, given, allocate)
    y, last = y if isinstance(y, tuple) else (y, None)
    needs = Needs(*(operand is not None for operand in operands))
    if frozen:
        needs = needs._replace(feedforward=False)
        given = given._replace(x=put_x(np.full_like(x, np.nan)))
    found = kernel.vjp(problem, given, y, put(grad_y), put(grad_last), needs, allocate)
    if not oracle:
        return []
    wanted = stepped(host, operands, grad_y, grad_last, extended=True)
    faults = []
    for name, result, want, usual in zip(NAMES, (y, last, *found), wanted, _usual_errors(options), strict=True):
        if result is None:
            continue
        error, allowed = _error(fetch(result), want), 4 * usual
        if not error <= allowed:
            faults.append(f"{name}: off by {error:.1e}, where {allowed:.1e} is allowed")
    return faults


def _usual_errors(options: dict[str, Any]) -> list[float]:
    """Return what stepping errs by in each result, at most, over some draws of a case, and an eps more."""
    errors = []
    for seed in range(8):
        drawn = problem_of(np.random.default_rng(seed), **options)
        pairs = zip(stepped(*drawn), stepped(*drawn, extended=True), strict=True)
        errors.append(
            [0.0 if own is None else _error(own, want) + _error(_next(want, own.dtype), want) for own, want in pairs]
        )
    return [max(each) for each in zip(*errors, strict=True)]


def _next(values: Any, dtype: Any) -> Any:
    """Return numbers that are an eps larger."""
    return values * (1 + np.longdouble(np.finfo(dtype).eps))


def cases(device: RecordingDevice, oracle: bool, tried: tuple[Case, ...]) -> Iterator[tuple[str, bool, str]]:
    kernel = Kernel(device)
    for index, case in enumerate(tried):
        device.seed = ORDERS_OF_THREADS[index % len(ORDERS_OF_THREADS)]
        wrong = faults_of(kernel, case, oracle=oracle)
        yield f"case {case} threads in order {device.seed}", not wrong, "; ".join(wrong)


def _error(result: Any, want: Any) -> float:
    """The largest error of each row, relative to its largest value, up to where the row leaves float32's range.

    All of a state may be small by chance: its errors are absolute.
    """
    if result.shape != want.shape:
        return np.inf
    axis = -1 if want.ndim == 3 else None
    with np.errstate(all="ignore"):
        fine = np.abs(want) < 1e30
        scale = np.where(fine, np.abs(want), 0).max(axis=axis, keepdims=True, initial=0) + 1e-3
        if want.ndim == 3 and want.shape[-1] <= 20:
            scale = np.ones_like(scale)
        errors = np.where(fine, np.abs(result - want), 0) / scale
    return float(errors.max(initial=0)) if not np.isnan(errors).any() else np.inf


def main(dtypes: tuple[str, ...] = (), kind: str = "", long: bool = False, sanitized: bool = True) -> None:
    """Compute the conformance suite with these data types of x, and the cases of a kind, or those that take long."""
    chosen = (LONG if long else CASES)[kind] if kind else ()
    register()
    recording = RecordingDevice()
    for device in (recording, None):
        emulated = device or EmulatedDevice(build(set(recording.launched), SANITIZERS if sanitized else ()), seed=5)
        kernel = Kernel(emulated)
        door.forward, door.vjp = kernel.forward, kernel.vjp
        for name, ok, detail in (*cases(emulated, device is None, chosen), *conformance(dtypes)):
            if device is None:
                print(json.dumps({"name": name, "ok": ok, "detail": detail}))
