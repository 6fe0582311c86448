"""Coefficients that vary, with channels as neighbours: rows of time give the bits that tiles give."""

from __future__ import annotations

import numpy as np
import pytest

from multirec._machine import threads as _threads

pytest.importorskip("llvmlite")

from multirec_backends.numba._recurrence import plan as _plan
from multirec_backends.numba._sweep import plan as _sweep_plan
from test_numba import LONG, Case

VARYING = {
    (None, 1): ("static", "time_varying"),
    (0, 1): ("time_varying", "time_varying"),
    (2, 1): ("time_varying", "time_varying"),
    (1, 2): ("time_varying", "time_varying"),
    (2, None): ("time_varying", "static"),
}
QUICK = [((None, 1), "float32"), ((1, 2), "float32")]
OTHERS = [(orders, dtype) for orders in VARYING for dtype in ("float32", "complex64", "float64", "bfloat16")]


def in_rows(taps):
    """Lay coefficients out so that channels are neighbours."""
    return None if taps is None else taps.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)


def swept(case, grad_y=None):
    """Return what rows of time give, and how many kernels took them."""
    _, b, a, *_ = case.operands
    case.operands = case.operands._replace(feedforward=in_rows(b), feedback=in_rows(a))
    before = _sweep_plan.swept.cache_info()
    y = case.forward()
    found = y, case.last, *case.vjp(y, grad_y)
    after = _sweep_plan.swept.cache_info()
    return found, after.hits + after.misses - before.hits - before.misses


@pytest.mark.parametrize(
    ("orders", "dtype"), [*QUICK, *(pytest.param(*each, marks=LONG) for each in OTHERS if each not in QUICK)]
)
def test_the_bits_of_tiles(orders, dtype, monkeypatch):
    # nothing goes row by row of channels, which adds gradients up in another order
    monkeypatch.setattr(_plan, "_side", lambda *_: 0)
    _plan.plan.cache_clear()
    sizes = [(2, 37, 70, "BTC"), (3, 64, 2, "TBC"), (1, 130, 1 + 64, "TBC"), (2, 16, 3, "BTC")]
    for index, (batch, channels, length, layout) in enumerate(sizes):
        case = Case(
            batch, channels, length, q=orders[0], p=orders[1], dtype=dtype, layout=layout, reverse=index % 2 == 1,
            state=index != 2, kinds=VARYING[orders],
        )  # fmt: skip
        grad_y = np.broadcast_to(case.grad_y[:1, :1, :1], case.grad_y.shape) if index == 3 else case.grad_y
        y = case.forward()
        want = y, case.last, *case.vjp(y, grad_y)
        found, times = swept(case, grad_y)
        assert times == 2
        for one, other in zip(found, want, strict=True):
            np.testing.assert_array_equal(one, other)
        case.check()
    _plan.plan.cache_clear()


def test_channels_that_are_no_neighbours_go_through_tiles():
    case = Case(2, 32, 40, q=None, p=1, layout="BTC", kinds=("static", "time_varying"))
    wide = np.repeat(case.operands.x, 2, axis=1)[:, ::2]
    want = case.forward()
    case.operands = case.operands._replace(x=wide)
    (y, *_), times = swept(case)
    assert times < 2
    np.testing.assert_array_equal(y, want)


def test_gates_of_one_channel_are_no_neighbours():
    case = Case(2, 32, 40, q=None, p=1, layout="BTC", kinds=("static", "time_varying"), one_filter=True)
    # the stride of their axis is that of neighbours
    case.operands = case.operands._replace(feedback=in_rows(case.operands.feedback))
    assert case.operands.feedback.strides[1] == case.operands.feedback.itemsize
    case.check()


def test_threads_and_large_outputs_do_not_change_a_bit(monkeypatch):
    before, found = _threads.num_threads(), []
    try:
        for count, large in ((1, 1 << 60), (3, 1 << 60), (2, -1)):
            monkeypatch.setattr(_plan, "SMALL", 0)
            monkeypatch.setattr(_plan, "LARGE", large)
            for cached in (_plan.plan, _sweep_plan.swept):
                cached.cache_clear()
            _threads.set_num_threads(count)
            for layout in ("BTC", "TBC"):
                case = Case(5, 144, 40, q=None, p=1, layout=layout, kinds=("static", "time_varying"))
                found.append(swept(case)[0])
    finally:
        _threads.set_num_threads(before)
        monkeypatch.undo()
        for cached in (_plan.plan, _sweep_plan.swept):
            cached.cache_clear()
    for other in found[2::2]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)
    for other in found[3::2]:
        for one, two in zip(found[1], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_no_number_stays_in_its_channel():
    case = Case(1, 40, 50, q=None, p=1, layout="BTC", kinds=("static", "time_varying"))
    clean, _ = swept(case)
    case.operands.x[0, 3, 20] = np.nan
    found, _ = swept(case)
    others = np.arange(40) != 3
    for one, other in zip(found, clean, strict=True):
        if one is not None and one.ndim > 1 and one.shape[1] == 40:
            np.testing.assert_array_equal(one[:, others], other[:, others])
    assert np.isnan(found[0][0, 3, 20:]).all()
