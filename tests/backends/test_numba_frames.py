"""Frames in machine code: pieces, lanes, rows side by side, threads, strides, and what is declined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from frames.expansion import Case, arrays_of, expanded

import multirec as mr
from multirec._core.validate import Choices
from multirec._frames.framing import Framing
from multirec._frames.launch import bound


def both(case: Case, dtype: Any = "float32") -> tuple[Any, ...]:
    """Return y, the last outputs and the gradients of the kernel."""
    x, b, a, past = (torch.tensor(part.astype(dtype), requires_grad=True) for part in arrays_of(case))
    y, state = mr.framed_recurrence(
        x, feedforward=b, feedback=a, hop=case.hop, offset=case.offset, state=mr.State(None, past), backend="numba"
    )
    return (y, state.outputs, *torch.autograd.grad([y, state.outputs], (x, b, a, past), [y, state.outputs]))


@pytest.mark.parametrize(
    "case",
    [
        Case(1300, 1100, 3, 8, 1, 1, 1, (1, 1), 1),
        Case(700, 90, 0, 16, 7, 1, 1, (7, 1), 0),
        Case(200, 30, 29, 33, 1, 3, 1, (1, 3), 1),
    ],
    ids=["pieces", "rows", "lanes"],
)
def test_float32_is_near_float64(case: Case) -> None:
    for name, own, exact in zip(
        ("y", "last", "x", "gain", "feedback", "past"), both(case), both(case, "float64"), strict=True
    ):
        scale = exact.abs().max()
        torch.testing.assert_close(own / scale, (exact / scale).float(), rtol=0, atol=2e-6, msg=f"{name} is off")


def test_results_do_not_depend_on_threads() -> None:
    case, threads = Case(4000, 90, 0, 16, 9, 1, 1, (1, 1), 1), mr.num_threads()
    try:
        mr.set_num_threads(1)
        alone = both(case)
        mr.set_num_threads(3)
        for own, other in zip(both(case), alone, strict=True):
            assert torch.equal(own, other)
    finally:
        mr.set_num_threads(threads)


def test_strides() -> None:
    case = Case(100, 7, 3, 4, 2, 3, 3, (2, 3), 1)
    x, b, a, past = arrays_of(case)
    run: Any = lambda x, b, a, past: mr.framed_recurrence(  # noqa: E731
        x, feedforward=b, feedback=a, hop=7, offset=3, state=mr.State(None, past), backend="numba"
    )
    y, state = run(*(part[::-1, ..., ::-1].copy()[::-1, ..., ::-1] for part in (x, b, a, past)))
    expected, after = run(x, b, a, past)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(state.outputs, after.outputs)


def test_what_is_not_finite_stays_where_it_is() -> None:
    case = Case(700, 90, 0, 16, 7, 1, 1, (7, 1), 0)
    x, b, a, _ = arrays_of(case)
    x[3, 0, 100] = np.inf
    a[5] *= 100
    y, _ = mr.framed_recurrence(x, feedforward=b, feedback=a, hop=90, backend="numba")
    good = [0, 1, 2, 4, 6]
    long_b, long_a = (expanded(part, 700, 90, 0, "linear") for part in (b, a))
    expected, _ = mr.recurrence(x, feedforward=long_b, feedback=long_a, backend="reference")
    np.testing.assert_allclose(y[good], expected[good], rtol=1e-10, atol=1e-12)
    assert np.isfinite(y[3, 0, :100]).all()
    assert not np.isfinite(y[3, 0, 100:]).any()
    beyond = np.nonzero(~np.isfinite(expected[5, 0]))[0][0]
    assert not np.isfinite(y[5, 0, beyond + 20 :]).any()


@pytest.mark.parametrize(
    ("dtype", "order", "taps", "in_kernel"),
    [
        ("float32", 64, 1, True),
        ("float32", 65, 1, False),
        ("float32", 4, 2, False),
        ("float16", 4, 1, False),
        ("complex64", 4, 1, False),
    ],
)
def test_what_is_expanded_instead(dtype: str, order: int, taps: int, in_kernel: bool) -> None:
    x, a, b = np.ones((1, 1, 12), dtype), np.zeros((1, 1, 3, order)), np.ones((1, 1, 3, taps))
    found = bound((x, b, a, None, None), Framing(4, True, 0), Choices(backend="numba")).launcher
    assert (found is not None) is in_kernel
