"""Long feedforward filters of the numba backend, whose vectors go along time."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from multirec_backends.numba._fir import kernel as _fir
from multirec_backends.numba._kernel import kernel
from multirec_backends.numba._recurrence import plan as _plan
from test_numba import AXES, Case, close

import multirec
from multirec.backend import Needs, Operands

DTYPES = ("float64", "float32", "complex128", "complex64", "float16", "bfloat16")


@pytest.fixture
def of_any_length(monkeypatch):
    """Short signals, whose reference takes no time, go along time too, in blocks that are shorter than the filters."""
    _fir._plan.cache_clear()
    monkeypatch.setattr(_fir, "_WORK", 0)
    monkeypatch.setattr(_fir, "_LEAST", 24)
    yield
    _fir._plan.cache_clear()


def checked(*arguments, **options):
    case = Case(*arguments, **options)
    assert _fir.worthwhile(case.problem)
    case.check()
    return case


@pytest.mark.usefixtures("of_any_length")
@pytest.mark.parametrize(("dtype", "p"), [*((dtype, None) for dtype in DTYPES), ("float32", 2), ("complex64", 2)])
def test_values_and_gradients(dtype, p):
    sizes = [(2, 3, 70, 69), (1, 5, 20, 40), (2, 2, 45, 35), (1, 1, 80, 64)]
    for index, ((batch, channels, length, q), layout) in enumerate(zip(sizes, (*AXES, "BTC"), strict=True)):
        checked(
            batch, channels, length, q=q, p=p, dtype=dtype, shared=index == 1, layout=layout, reverse=index % 2 == 1,
            kinds=("static", "per_example") if index % 2 else ("per_example", "static"), state=index != 2,
            complex_taps=dtype.startswith("complex"), one_filter=p is None and index == 0,
        )  # fmt: skip


@pytest.mark.usefixtures("of_any_length")
@pytest.mark.parametrize("taps", [34, 65, 131])
def test_odd_sizes(taps):
    for length, p, reverse in itertools.product((0, 1, 33, 129), (None, 2), (False, True)):
        checked(1, 2, length, q=taps - 1, p=p, reverse=reverse)
    assert checked(0, 3, 20, q=taps - 1).forward().shape == (0, 3, 20)


@pytest.mark.usefixtures("of_any_length")
def test_real_and_complex():
    for shared in (False, True):
        checked(shared=shared, q=50, p=None, length=20, complex_taps=True)
        checked(shared=shared, q=50, p=None, length=20, dtype="complex64")


@pytest.mark.usefixtures("of_any_length")
def test_complex_feedback_over_real_sums():
    case = Case(q=50, length=20, complex_taps=True)
    taps = replace(case.problem.feedforward, dtype="float32")
    case.problem = replace(case.problem, feedforward=taps)
    case.operands = case.operands._replace(feedforward=case.operands.feedforward.real.copy())
    case.check()


@pytest.mark.usefixtures("of_any_length")
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("p", [None, 2])
def test_wide_arithmetic(dtype, p):
    for shared in (False, True):
        checked(q=50, p=p, length=20, dtype=dtype, shared=shared, reverse=shared, compute_dtype="float64")


@pytest.mark.parametrize("step", [2, -1, -3])
def test_any_strides(step):
    case = Case(2, 3, 600, q=70)
    case.operands = case.operands._replace(x=case.noise((2, 9, 2400), "float32")[:, ::3, ::step][..., :600])
    case.grad_y = np.broadcast_to(np.float32(1), (2, 3, 600))
    case.check()


def blocks(dtype="float32", **options):
    """A signal of several blocks, with the samples before it."""
    case = Case(1, 2, 9000, q=300, p=None, dtype=dtype, complex_taps=dtype.startswith("complex"), **options)
    assert _fir._plan(case.problem, dtype, dtype, (1, 2, 9000), vjp=True).launch.items > 4
    return case


def close_to_sums(case, y, scale):
    """Hold y against sums in float64 by array operations."""
    x = np.concatenate([case.operands.inputs, case.operands.x], axis=-1).astype(np.complex128)
    taps, length = case.operands.feedforward[..., 0, :], case.problem.length
    want = sum(taps[..., j, None] * x[..., 300 - j : 300 - j + length] for j in range(301))
    assert np.abs(y - want).max() <= scale * np.abs(want).max()


@pytest.mark.parametrize(("dtype", "scale"), [("float32", 1e-6), ("float64", 2e-15), ("complex64", 1e-6)])
def test_blocks(dtype, scale):
    case = blocks(dtype)
    y = case.forward()
    close_to_sums(case, y, scale)
    found = case.vjp(y)
    x, lam = (signal.astype(np.complex128) for signal in (case.operands.x, case.grad_y))
    line = np.concatenate([case.operands.inputs, x], axis=-1).conj()
    sums = [(lam * line[..., 300 - j : 9300 - j]).sum(-1) for j in range(301)]
    close(found.feedforward[:, :, 0], np.stack(sums, -1), dtype)
    later = np.pad(lam, ((0, 0), (0, 0), (300, 300)))
    taps = case.operands.feedforward[..., 0, :].conj()
    to_all = sum(taps[..., j, None] * later[..., j : j + 9300] for j in range(301))
    close(found.inputs, to_all[..., :300], dtype)
    close(found.x, to_all[..., 300:], dtype)


@pytest.mark.parametrize("dtype", ["float32", "complex128", "float16"])
@pytest.mark.parametrize("reverse", [False, True])
def test_every_output_has_one_order_of_sums(dtype, reverse):
    whole = blocks(dtype, reverse=reverse)
    y = whole.forward()
    for cut in (1, 777, 4096, 5001):
        part = Case(1, 2, 9000 - cut, q=300, p=None, dtype=dtype, reverse=reverse, complex_taps="x" in dtype)
        x, inputs = whole.operands.x, whole.operands.inputs
        if reverse:
            x, inputs = x[..., : 9000 - cut], np.concatenate([x[..., 9000 - cut :], inputs], axis=-1)[..., :300]
        else:
            x, inputs = x[..., cut:], np.concatenate([inputs, x[..., :cut]], axis=-1)[..., -300:]
        part.operands = whole.operands._replace(x=x, inputs=inputs)
        np.testing.assert_array_equal(part.forward(), y[..., :-cut] if reverse else y[..., cut:])


def test_threads_do_not_change_bits():
    case = blocks()
    results = []
    before = multirec.num_threads()
    try:
        for count in (1, 2, 3):
            multirec.set_num_threads(count)
            y = case.forward()
            results.append((y, *(part for part in case.vjp(y) if part is not None)))
    finally:
        multirec.set_num_threads(before)
    for other in results[1:]:
        for one, same in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, same)


@pytest.mark.parametrize("at", [0, 100, 4000, 8999])
def test_a_nan_reaches_the_outputs_that_it_should(at):
    case = blocks(state=False)
    clean = case.forward()
    x = case.operands.x.copy()
    x[0, 1, at] = np.nan
    case.operands = case.operands._replace(x=x)
    y, reached = case.forward(), np.zeros((1, 2, 9000), bool)
    reached[0, 1, at : at + 301] = True
    np.testing.assert_array_equal(np.isnan(y), reached)
    np.testing.assert_array_equal(y[~reached], clean[~reached])
    gradients = case.vjp(y)
    assert np.isfinite(gradients.x).all()
    assert np.isnan(gradients.feedforward[0, 1]).sum() == min(301, 9000 - at)
    assert np.isfinite(gradients.feedforward[0, 0]).all()


def test_a_nan_in_the_gradient_reaches_the_inputs_that_it_should():
    case = blocks()
    case.grad_y[0, 0, 200] = np.nan
    found = case.vjp(case.forward())
    assert np.flatnonzero(np.isnan(found.x[0, 0])).tolist() == list(range(201))
    assert np.flatnonzero(np.isnan(found.inputs[0, 0])).tolist() == list(range(200, 300))
    assert np.isfinite(found.x[0, 1]).all()


def test_errors_are_those_of_stepping():
    # float32, sums one product after the other
    case = blocks()
    x = np.concatenate([case.operands.inputs, case.operands.x], axis=-1)
    taps = case.operands.feedforward[:, :, 0]
    stepped, want = np.zeros((1, 2, 9000), np.float32), np.zeros((1, 2, 9000))
    for j in range(301):
        product = taps[..., j, None] * x[..., 300 - j : 9300 - j]
        stepped = stepped + product
        want += np.float64(taps[..., j, None]) * x[..., 300 - j : 9300 - j]
    assert stepped.dtype == np.float32
    # another order of the same sums: the mean squares differ by a few per cent either way
    assert np.square(case.forward() - want).mean() <= 1.05 * np.square(stepped - want).mean()


@pytest.mark.parametrize(("dtype", "segmented"), [("float64", True), ("float16", False)])
def test_few_long_signals_with_feedback(dtype, segmented, monkeypatch):
    # the reference takes seconds for these; lanes, which are held to it elsewhere, do not
    case = Case(1, 1, 16500, q=70, dtype=dtype)
    assert _plan.plan(_fir._rest(case.problem)).segmented is segmented
    y = case.forward()
    found = case.vjp(y)
    monkeypatch.setattr(_fir, "_LONG_OF_FEW", 1000)
    assert not _fir.worthwhile(case.problem)
    for mine, other in zip((y, *found), (case.forward(), *case.vjp(y)), strict=True):
        close(mine, other, dtype, 10)


def test_zeros_next_to_poles_cost_no_more_than_in_stepping(monkeypatch):
    # segments of such signals are corrected, and run over the sums again
    angle, radius = 1e-3, 0.9999
    taps = np.convolve(np.hanning(70), [1, -2 * np.cos(angle), 1])
    poles = np.array([2 * radius * np.cos(angle), -(radius**2)])
    case, exact = (Case(1, 1, 50000, q=71, dtype=dtype, state=False) for dtype in ("float32", "float64"))
    shaped = [part.astype("float32").reshape(1, 1, 1, -1) for part in (taps, poles)]
    case.operands = Operands(case.operands.x, *shaped, None, None)
    exact.operands = Operands(*(part.astype(float) for part in case.operands[:3]), None, None)
    exact.grad_y, exact.grad_last = case.grad_y.astype(float), case.grad_last.astype(float)

    def results(one):
        y = one.forward()
        return y, one.vjp(y).x

    with monkeypatch.context() as lanes:
        lanes.setattr(_fir, "_LONG_OF_FEW", 1000)
        stepped, want = results(case), results(exact)
    for mine, other, true in zip(results(case), stepped, want, strict=True):
        assert np.abs(mine - true).max() <= 1.5 * np.abs(other - true).max()


def test_a_long_filter_does_not_fit_in_the_memory_of_x():
    assert not kernel.in_place(blocks().problem)


def test_shapes_that_go_along_time():
    def goes(channels, taps, **options):
        return _fir.worthwhile(Case(1, channels, 4096, q=taps - 1, **options).problem)

    assert goes(1, 34)
    assert not goes(1, 33)
    assert not goes(16, 63)
    assert goes(16, 64)
    assert goes(15, 512, layout="BTC")
    assert not goes(16, 512, layout="BTC")
    assert not goes(1, 512, kinds=("time_varying", "static"))
    assert not _fir.worthwhile(Case(1, 1, 16, q=63).problem)


def test_gradients_that_are_not_wanted_are_not_computed():
    case = blocks()
    found = case.vjp(case.forward(), needs=Needs(False, False, False, True, False))
    assert [part is None for part in found] == [True, True, True, False, True]


def test_the_door():
    x, taps = np.random.default_rng(0).standard_normal((1, 3000)), np.random.default_rng(1).standard_normal((1, 200))
    y, state = multirec.recurrence(x[:, :2000], feedforward=taps, backend="numba")
    rest, _ = multirec.recurrence(x[:, 2000:], feedforward=taps, state=state, backend="numba")
    np.testing.assert_allclose(np.append(y, rest), np.convolve(x[0], taps[0])[:3000], atol=1e-12)
