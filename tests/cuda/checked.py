"""Runs the emulated kernels against the oracle, and prints one JSON line for each check.

A program of its own, since the address sanitizer must be loaded before Python. The first pass only records which
kernels are asked for; these are then built; the second pass computes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from tempfile import TemporaryFile
from types import SimpleNamespace
from typing import Any

import numpy as np
from emulated import EmulatedDevice, RecordingDevice, build
from multirec_backends.cupy._kernel import Kernel

import multirec as mr
from multirec import reference
from multirec.backend import COMPLEX_DTYPES, HALF_DTYPES, REAL_DTYPES, BackendInfo, Needs, Operands, Problem, Taps
from multirec.testing.checks import CHECKS, Subject, checked, checks_of
from multirec.testing.libraries import NumpyLibrary

CONFORMANCE = ("float32",)
ORDERS_OF_THREADS = (0, 1, 7)

door = SimpleNamespace(forward=None, vjp=None)
"""The kernel that the registered backend names; its methods are filled in for each pass."""


def conformance() -> Iterator[tuple[str, bool, str]]:
    info = BackendInfo(
        name="emulated_cuda",
        summary="the CUDA kernels on a CPU",
        kernel="checked:door",
        family="numpy",
        dtypes=HALF_DTYPES + REAL_DTYPES + COMPLEX_DTYPES,
        promise="bitwise",
    )
    mr.register_backend(info)
    for dtype in CONFORMANCE:
        subject = Subject("emulated_cuda", NumpyLibrary(), dtype)
        for name in checks_of(subject):
            tally = checked(CHECKS[name], subject)
            yield f"conformance {dtype} {name}", not tally.failures, str(tally)


def laid_out(array: Any, layout: str) -> Any:
    axes = {"BCT": (0, 1, 2), "BTC": (0, 2, 1), "TBC": (2, 0, 1)}[layout]
    return np.ascontiguousarray(array.transpose(axes)).transpose(np.argsort(axes))


def far_apart(values: Any) -> Any:
    """Return a copy whose last row lies 2^31 elements behind the first; only what is touched takes room on the disk."""
    batch, channels, length = values.shape
    row = -(-(1 << 31) // (batch * channels - 1)) if batch * channels > 1 else length
    count = (batch * channels - 1) * row + length
    with TemporaryFile() as file:
        memory = np.memmap(file, values.dtype, "w+", shape=(max(count, 1),))
    strides = tuple(stride * values.itemsize for stride in (channels * row, row, 1))
    copy = np.lib.stride_tricks.as_strided(memory, values.shape, strides)
    copy[...] = values
    return copy


def coefficients(rng: Any, kind: str, sizes: tuple[int, int, int], count: int, dtype: str, feedback: bool) -> Any:
    shape = {"static": (1, sizes[1], 1), "varying": sizes, "gate": (1, 1, sizes[2]), "example": (*sizes[:2], 1)}[kind]
    values = rng.standard_normal((*shape, count))
    if dtype in COMPLEX_DTYPES:
        values = values + 1j * rng.standard_normal(values.shape)
    if feedback:
        values = 0.8 * values / np.maximum(np.abs(values).sum(-1, keepdims=True), 1)
    return values.astype(dtype)


CASES: tuple[dict[str, Any], ...] = (
    # several tiles, and rows that do not fill a block
    {"sizes": (2, 9, 1032), "shared": True},
    {"sizes": (1, 9, 600), "layout": "BTC", "reverse": True},
    {"sizes": (2, 5, 530), "layout": "TBC", "shared": True, "reverse": True},
    # segments in time
    {"sizes": (1, 2, 512 * 18 + 3)},
    {"sizes": (2, 1, 512 * 17), "layout": "TBC", "reverse": True, "shared": True},
    {"sizes": (1, 2, 512 * 9 + 4), "p": 0},
    {"sizes": (1, 3, 512 * 9), "unstable": True},
    # rows more than 2^31 elements apart
    {"sizes": (2, 2, 36), "far": True},
    {"sizes": (2, 34, 3), "far": True, "p": 20},
    # coefficients that change
    {"sizes": (2, 3, 600), "p": 1, "q": 0, "a": "varying"},
    {"sizes": (1, 9, 520), "p": 1, "q": 0, "a": "varying", "layout": "BTC", "reverse": True, "shared": True},
    {"sizes": (2, 3, 515), "p": 1, "q": 0, "a": "gate", "growing": True},
    {"sizes": (2, 3, 515), "b": "varying", "shared": True, "layout": "TBC"},
    {"sizes": (2, 3, 515), "b": "gate", "a": "example", "reverse": True},
    # orders above what a lane holds, and what the fast kernels do not compute
    {"sizes": (1, 3, 130), "dtype": "complex128", "p": 5, "q": 6, "shared": True},
    {"sizes": (1, 3, 532), "p": 9, "q": 9},
    {"sizes": (1, 34, 40), "p": 20, "q": 18, "shared": True},
    {"sizes": (2, 3, 40), "p": 3, "q": 1, "a": "varying", "b": "gate", "layout": "BTC", "reverse": True},
    {"sizes": (2, 3, 300), "dtype": "float64", "p": 3, "q": 1},
    {"sizes": (2, 3, 520), "b_dtype": "complex64"},
    {"sizes": (2, 3, 520), "dtype": "float16", "shared": True},
)


def problem_of(
    rng: Any, *, sizes: tuple[int, int, int], dtype: str = "float32", b_dtype: str = "", p: int = 2, q: int = 2,
    a: str = "static", b: str = "static", layout: str = "BCT", shared: bool = False, reverse: bool = False,
    unstable: bool = False, growing: bool = False, far: bool = False,
) -> tuple[Problem, Operands, Any, Any]:  # fmt: skip
    batch, channels, length = sizes
    taps_dtype = "float32" if dtype == "float16" else dtype
    y_dtype = b_dtype or dtype
    feedforward = coefficients(rng, b, sizes, q + 1, b_dtype or taps_dtype, False)
    feedback = coefficients(rng, a, sizes, p, taps_dtype, True)
    if unstable:
        feedback[0, 1, 0] = (1.52, -0.51)
    if growing:
        feedback *= 3
        feedback[..., 100:, :] *= 0.2

    def signal(own: int, count: int, kind: str) -> Any:
        values = rng.standard_normal((batch, own, count)).astype(kind)
        return far_apart(values) if far else laid_out(values, layout)

    x_channels = 1 if shared else channels
    b_taps, a_taps = (Taps(*array.shape, dtype=str(array.dtype)) for array in (feedforward, feedback))
    problem = Problem(
        "numpy", "cpu", dtype, y_dtype, layout, reverse, batch, channels, length, x_channels, b_taps, a_taps
    )  # type: ignore[arg-type]
    operands = Operands(
        signal(x_channels, length, dtype),
        feedforward,
        feedback if p else None,
        signal(x_channels, q, dtype),
        signal(channels, p, y_dtype) if p else None,
    )
    grad_last = signal(channels, min(p, length), y_dtype) if p else None
    return problem, operands, signal(channels, length, y_dtype), grad_last


def cases(device: RecordingDevice) -> Iterator[tuple[str, bool, str]]:
    kernel = Kernel(device)
    for index, case in enumerate(CASES):
        device.seed = ORDERS_OF_THREADS[index % len(ORDERS_OF_THREADS)]
        problem, operands, grad_y, grad_last = problem_of(np.random.default_rng(0), **case)

        def allocate(channels: int, dtype: str, problem: Problem = problem, far: bool = "far" in case) -> Any:
            poison = np.full((problem.batch, channels, problem.length), np.nan, dtype)
            return far_apart(poison) if far else laid_out(poison, problem.layout)

        y = kernel.forward(problem, operands, allocate)
        needs = Needs(*(operand is not None for operand in operands))
        found = kernel.vjp(problem, operands, y, grad_y, grad_last, needs, allocate)
        with np.errstate(all="ignore"):
            results = [y, *found]
            wanted = [reference.kernel.wide_forward(problem, operands)]
            wanted += reference.kernel.wide_vjp(problem, operands, grad_y, grad_last)
        names = ("y", *(f"gradient of {name}" for name in Operands._fields))
        wrong = [
            f"{name}: off by {error:.1e}"
            for name, result, want in zip(names, results, wanted, strict=True)
            if result is not None and not (error := _error(result, want, problem.dtype)) <= 1
        ]
        yield f"case {case} threads in order {device.seed}", not wrong, "; ".join(wrong)


def _error(result: Any, want: Any, dtype: str) -> float:
    """The largest error of each row, over what is tolerated there, up to where the row leaves float32's range."""
    if result.shape != want.shape:
        return np.inf
    tolerance = {"float32": 3e-5, "float64": 1e-12, "complex128": 1e-12, "float16": 3e-3}[dtype]
    axis = -1 if want.ndim == 3 else None
    with np.errstate(all="ignore"):
        fine = np.abs(want) < 1e30
        scale = np.where(fine, np.abs(want), 0).max(axis=axis, keepdims=True, initial=0)
        errors = np.where(fine, np.abs(result - want), 0) / (tolerance * (scale + 1e-3))
    return float(errors.max(initial=0)) if not np.isnan(errors).any() else np.inf


def main() -> None:
    recording = RecordingDevice()
    for device in (recording, None):
        emulated = device or EmulatedDevice(build(set(recording.launched)), seed=5)
        kernel = Kernel(emulated)
        door.forward, door.vjp = kernel.forward, kernel.vjp
        for name, ok, detail in (*cases(emulated), *conformance()):
            if device is None:
                print(json.dumps({"name": name, "ok": ok, "detail": detail}))
