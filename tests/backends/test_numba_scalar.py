"""Coefficients that vary, on few rows or with several taps: rows side by side against the reference."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from multirec._machine import threads as _threads

pytest.importorskip("llvmlite")

from multirec_backends.numba._kernel import kernel
from multirec_backends.numba._recurrence import plan as _plan
from multirec_backends.numba._scalar import plan as _scalar_plan
from test_numba import LONG, Case

GATE, BOTH, STATIC = ("static", "time_varying"), ("time_varying", "time_varying"), ("time_varying", "static")
ONE_ROW, FEW, PAIRS = (1, 1, 70), (2, 3, 131), (1, 4, 65)
QUICK = [
    ((None, 1), "float32", GATE, "BCT", (ONE_ROW, FEW)),
    ((None, 1), "float32", GATE, "BTC", (PAIRS,)),
    ((2, 1), "bfloat16", GATE, "TBC", ((4, 1, 66),)),
    ((1, 2), "complex64", BOTH, "BCT", ((1, 2, 67),)),
    ((None, 5), "float32", GATE, "BTC", (FEW,)),
    ((2, None), "float32", STATIC, "BTC", ((2, 4, 9),)),
]
ORDERS = [(None, 1), (0, 1), (2, 1), (1, 2), (2, 3), (None, 16), (3, 32), (2, 2)]
SIZES = (ONE_ROW, FEW, PAIRS, (1, 8, 3), (8, 1, 64), (1, 2, 5))
OTHERS = [
    (orders, dtype, GATE if orders[0] is None else BOTH, layout, SIZES)
    for (orders, dtype), layout in zip(
        itertools.product(ORDERS, ("float32", "complex128", "float16")), itertools.cycle(("BCT", "BTC", "TBC", "BTC"))
    )
]


def neighbours(case):
    """Lay coefficients out as users have them: as the signal lies, and the taps of a sample together."""
    order = {"BCT": (0, 1, 2, 3), "BTC": (0, 2, 1, 3), "TBC": (2, 0, 1, 3)}[case.problem.layout]

    def lay(taps):
        return None if taps is None else np.ascontiguousarray(taps.transpose(order)).transpose(np.argsort(order))

    _, b, a, *_ = case.operands
    case.operands = case.operands._replace(feedforward=lay(b), feedback=lay(a))
    return case


def taken():
    info = _scalar_plan.scalar.cache_info()
    return info.hits + info.misses


@pytest.mark.parametrize(
    ("orders", "dtype", "kinds", "layout", "sizes"), [*QUICK, *(pytest.param(*each, marks=LONG) for each in OTHERS)]
)
def test_values_and_gradients(orders, dtype, kinds, layout, sizes):
    for index, (batch, channels, length) in enumerate(sizes):
        case = Case(
            batch, channels, length, q=orders[0], p=orders[1], dtype=dtype, layout=layout, reverse=index % 2 == 1,
            state=index != 2, kinds=kinds,
        )  # fmt: skip
        before = taken()
        neighbours(case).check()
        assert taken() == before + 2


@pytest.mark.parametrize("sizes", [(0, 1, 2), (1, 2, 0)])
def test_nothing_at_all(sizes):
    Case(*sizes, q=None, p=2, kinds=GATE).check()


def test_gradient_of_a_sum():
    case = neighbours(Case(*PAIRS, q=None, p=1, layout="BTC", kinds=GATE))
    case.grad_y = np.broadcast_to(case.grad_y[:1, :1, :1], case.grad_y.shape)
    case.check()


def test_threads_do_not_change_a_bit(monkeypatch):
    before, found = _threads.num_threads(), []
    try:
        for count in (1, 3):
            monkeypatch.setattr(_plan, "SMALL", 0)
            for cached in (_plan.plan, _scalar_plan.scalar):
                cached.cache_clear()
            _threads.set_num_threads(count)
            case = neighbours(Case(2, 3, 131, q=None, p=1, kinds=GATE))
            y = case.forward()
            found.append((y, *case.vjp(y)))
    finally:
        _threads.set_num_threads(before)
        monkeypatch.undo()
        for cached in (_plan.plan, _scalar_plan.scalar):
            cached.cache_clear()
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("sizes", "layout"), [(FEW, "BCT"), (PAIRS, "BTC")])
def test_no_number_stays_in_its_row(sizes, layout):
    case = neighbours(Case(*sizes, q=None, p=1, layout=layout, kinds=GATE))
    clean = case.forward()
    gradients = case.vjp(clean)
    case.operands.x[0, 1, 20] = np.nan
    found = case.forward()
    others = np.arange(sizes[1]) != 1
    assert np.isnan(found[0, 1, 20:]).all()
    np.testing.assert_array_equal(found[0, 1, :20], clean[0, 1, :20])
    np.testing.assert_array_equal(found[:, others], clean[:, others])
    for one, other in zip(case.vjp(found), gradients, strict=True):
        if one is not None:
            np.testing.assert_array_equal(one[:, others], other[:, others])


def test_taps_that_are_no_neighbours_go_through_tiles():
    case = Case(1, 2, 40, q=None, p=2, kinds=GATE)
    want = case.forward()
    spread = np.repeat(case.operands.feedback, 2, axis=3)[..., ::2]
    case.operands = case.operands._replace(feedback=spread)
    before = taken()
    np.testing.assert_array_equal(case.forward(), want)
    assert taken() == before


def test_y_may_take_the_place_of_x():
    case = neighbours(Case(2, 3, 131, q=2, p=2, kinds=BOTH))
    want = case.forward()
    assert kernel.in_place(case.problem)
    y = kernel.forward(case.problem, case.operands, lambda *_: case.operands.x)
    np.testing.assert_array_equal(y, want)
