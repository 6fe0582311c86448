"""The numba backend against the reference, on canonical operands: strides, sizes, threads."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest

from multirec._machine import threads as _threads

pytest.importorskip("llvmlite")

from multirec_backends.numba._kernel import kernel
from multirec_backends.numba._recurrence import plan as _plan

from multirec._core.axes import ends
from multirec._core.problem import in_precision, real_precision
from multirec.backend import Needs, Operands, Problem, Taps
from multirec.reference import kernel as reference
from multirec.reference import widen

LONG = pytest.mark.long
TOLERANCE = {
    "float32": 2e-5, "float64": 1e-12, "complex64": 2e-5, "complex128": 1e-12, "float16": 2e-3, "bfloat16": 1.6e-2,
}  # fmt: skip
AXES = {"BCT": (0, 1, 2), "BTC": (0, 2, 1), "TBC": (2, 0, 1)}


class Case:
    """One problem with random operands, laid out as `layout` says."""

    def __init__(
        self, batch=2, channels=5, length=70, *, shared=False, q=2, p=2, dtype="float32", layout="BCT", reverse=False,
        state=True, kinds=("static", "static"), complex_taps=False, one_filter=False, seed=0, compute_dtype=None,
    ):  # fmt: skip
        self.random = np.random.default_rng(seed)
        real = compute_dtype or real_precision(dtype)
        y_dtype, self.taps_dtype = dtype, real
        if complex_taps:
            y_dtype, self.taps_dtype = (in_precision("complex64", kind) for kind in (real_precision(dtype), real))
        shapes = {"static": (1, 1), "per_example": (batch, 1), "time_varying": (batch, length)}

        def taps(kind, count, scale):
            if count is None:
                return None, None
            examples, time = shapes[kind]
            shape = (examples, 1 if one_filter else channels, time, count)
            return (self.noise(shape, self.taps_dtype) * scale).astype(self.taps_dtype), Taps(*shape, self.taps_dtype)

        b, b_taps = taps(kinds[0], None if q is None else q + 1, 1.0)
        a, a_taps = taps(kinds[1], p, 0.2 / max(p or 1, 1))
        x_channels = 1 if shared else channels
        self.problem = Problem(
            family="numpy", device="cpu", dtype=dtype, y_dtype=y_dtype, compute_dtype=real,
            layout=layout, reverse=reverse, batch=batch, channels=channels, length=length, x_channels=x_channels,
            feedforward=b_taps, feedback=a_taps,
        )  # fmt: skip
        x = self.signal(x_channels, length, dtype)
        inputs = self.signal(x_channels, q or 0, dtype) if state else None
        outputs = self.signal(channels, p or 0, self.problem.state_dtype) if state else None
        self.operands = Operands(x, b, a, inputs, outputs)
        self.grad_y = self.signal(channels, length, y_dtype)
        self.grad_last = self.signal(channels, min(p or 0, length), self.problem.state_dtype)

    def noise(self, shape, dtype):
        values = self.random.standard_normal(shape)
        if dtype.startswith("complex"):
            values = values + 1j * self.random.standard_normal(shape)
        if dtype == "bfloat16":
            return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
        return values.astype(dtype)

    def signal(self, channels, length, dtype):
        values = self.noise((self.problem.batch, channels, length), dtype)
        axes = AXES[self.problem.layout]
        return np.ascontiguousarray(values.transpose(axes)).transpose(np.argsort(axes))

    def allocate(self, channels, dtype):
        poison = self.noise((self.problem.batch, channels, self.problem.length), dtype)
        poison.fill(0x7FC0 if dtype == "bfloat16" else np.nan)
        axes = AXES[self.problem.layout]
        return np.ascontiguousarray(poison.transpose(axes)).transpose(np.argsort(axes))

    def forward(self):
        found = kernel.forward(self.problem, self.operands, self.allocate)
        y, self.last = found if isinstance(found, tuple) else (found, None)
        return y

    def vjp(self, y, grad_y=None, needs=None):
        grad_y = self.grad_y if grad_y is None else grad_y
        needs = needs or Needs(*(operand is not None for operand in self.operands))
        return kernel.vjp(self.problem, self.operands, y, grad_y, self.grad_last, needs, self.allocate)

    def check(self, gradients=True):
        problem = self.problem
        y = self.forward()
        want = reference.wide_forward(problem, self.operands)
        close(y, want, problem.y_dtype)
        assert (self.last is None) == (problem.state_dtype == problem.y_dtype)
        if self.last is not None:
            close(self.last, ends(want, problem.order, problem.reverse), problem.state_dtype, name="last")
        if not gradients:
            return
        got, want = self.vjp(y), reference.wide_vjp(problem, self.operands, self.grad_y, self.grad_last)
        for name, operand, mine, theirs in zip(got._fields, self.operands, got, want, strict=True):
            if operand is None:
                assert mine is None
            else:
                close(mine, theirs, problem.dtype if name == "x" else problem.y_dtype, 10, name)


def close(got, want, dtype, factor=1, name="y"):
    assert got.shape == want.shape, name
    if got.dtype == np.uint16:
        got = widen(got, "bfloat16")
    if got.size:
        error = np.abs(got - want).max() / max(np.abs(want).max(), 1e-9)
        assert error <= factor * TOLERANCE[dtype], f"{name}: {error}"


SIZES = [(2, 33, 130), (3, 5, 67), (1, 1, 1), (1, 3, 2), (2, 40, 64), (2, 4, 0), (0, 4, 5)]
ORDERS = [(2, 2), (0, 1), (None, 2), (1, None), (5, 7), (0, 3), (70, 66)]


# each of these compiles kernels of its own
FIRST = [
    *(("BCT", orders, "float32") for orders in ORDERS),
    *(("BTC", (2, 2), "float32"), ("TBC", (2, 2), "float32"), ("BCT", (2, 2), "float64")),
]
OTHERS = [each for each in itertools.product(AXES, ORDERS, ("float32", "float64")) if each not in FIRST]


@pytest.mark.parametrize(("layout", "orders", "dtype"), [*FIRST, *(pytest.param(*each, marks=LONG) for each in OTHERS)])
def test_values_and_gradients(dtype, orders, layout):
    for index, ((batch, channels, length), shared, reverse) in enumerate(
        itertools.product(SIZES, (False, True), (False, True))
    ):
        kinds = ("static", "per_example") if index % 3 else ("per_example", "static")
        Case(
            batch, channels, length, shared=shared, q=orders[0], p=orders[1], dtype=dtype, layout=layout,
            reverse=reverse, state=index % 4 != 1, kinds=kinds, one_filter=index % 5 == 0,
        ).check()  # fmt: skip


KINDS = list(itertools.product(("static", "time_varying"), repeat=2))
QUICK = [(("static", "time_varying"), "bfloat16"), (("time_varying", "static"), "complex64")]


@pytest.mark.parametrize(
    ("kinds", "dtype"),
    [
        *QUICK,
        *(
            pytest.param(*each, marks=LONG)
            for each in itertools.product(KINDS, ("complex64", "bfloat16", "complex128", "float16"))
            if each not in QUICK
        ),
    ],
)
def test_every_kind_and_dtype(dtype, kinds):
    for layout, (shared, q, p) in itertools.product(AXES, ((False, 3, 4), (True, 1, 2))):
        Case(2, 18, 70, shared=shared, q=q, p=p, dtype=dtype, layout=layout, reverse=shared, kinds=kinds).check()


@pytest.mark.parametrize("shared", [False, pytest.param(True, marks=LONG)])
@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=LONG), "float64"])
def test_real_input_with_complex_coefficients(dtype, shared):
    for kinds in (("static", "static"), ("static", "time_varying")):
        Case(shared=shared, dtype=dtype, complex_taps=True, kinds=kinds).check()


# the conformance suite has its quick tests; each type compiles its own kernels
@LONG
@pytest.mark.parametrize("dtype", ["float32", "float16", "complex64", "bfloat16"])
@pytest.mark.parametrize("layout", AXES)
def test_wide_arithmetic(dtype, layout):
    for index, ((batch, channels, length), (q, p)) in enumerate(itertools.product(SIZES, ((2, 2), (0, 5), (3, 1)))):
        kinds = ("static", "time_varying") if index % 3 == 1 else ("per_example", "static")
        Case(
            batch, channels, length, shared=index % 2 == 0, q=q, p=p, dtype=dtype, layout=layout, kinds=kinds,
            reverse=index % 4 > 1, state=index % 5 != 1, compute_dtype="float64",
        ).check()  # fmt: skip


@pytest.mark.parametrize("reverse", [False, pytest.param(True, marks=LONG)])
@pytest.mark.long
def test_wide_arithmetic_of_few_long_signals(reverse):
    for shared, p in ((True, 2), (False, 3)):
        Case(1, 2, 16500, p=p, shared=shared, reverse=reverse, compute_dtype="float64").check()


@pytest.mark.parametrize(("q", "p", "reverse"), [(2, 2, False), pytest.param(0, 5, True, marks=LONG)])
def test_few_long_signals(q, p, reverse):
    Case(1, 1, 16500, q=q, p=p, dtype="float64", reverse=reverse, kinds=("per_example", "static")).check()
    Case(1, 2, 16500, q=q, p=p, dtype="complex64", shared=not reverse, reverse=reverse).check()


def test_few_long_signals_that_grow_run_in_order():
    case = Case(1, 1, 20000, q=0, p=1, state=False)
    case.operands = case.operands._replace(feedback=np.full_like(case.operands.feedback, 1.01))
    y, want = case.forward(), reference.wide_forward(case.problem, case.operands)
    fits = np.abs(want) < 1e30
    np.testing.assert_allclose(y[fits], want[fits], rtol=1e-3, atol=1e-3)
    assert not np.isfinite(y[0, 0, -100:]).any()


@pytest.mark.parametrize("step", [1, 2, -1, -3])
def test_any_strides(step):
    case = Case(2, 20, 80)
    x = case.noise((2, 20 * 3, 80 * 3 * 2), "float32")
    view = x[:, ::3, :: 2 * step][:, :, :80] if abs(step) > 1 else x[:, ::3, ::step][:, :, :80]
    case.operands = case.operands._replace(x=view)
    case.check()


def test_expanded_gradient_and_input():
    case = Case(2, 20, 80)
    case.grad_y = np.broadcast_to(np.float32(1), (2, 20, 80))
    case.operands = case.operands._replace(x=np.broadcast_to(case.noise((1, 1, 80), "float32"), (2, 20, 80)))
    case.check()


@pytest.fixture
def always_past_the_caches(monkeypatch):
    _plan.plan.cache_clear()
    monkeypatch.setattr(_plan, "LARGE", -1)
    yield
    _plan.plan.cache_clear()


@pytest.mark.usefixtures("always_past_the_caches")
@pytest.mark.parametrize("dtype", ["float32", *(pytest.param(name, marks=LONG) for name in ("complex64", "float16"))])
def test_large_outputs(dtype):
    # lengths that end within a line, within the second line, and on a tile; rows that begin anywhere in a line
    for length, reverse, kind in itertools.product((1, 67, 83, 128, 201), (False, True), ("static", "time_varying")):
        Case(2, 19, length, q=1, p=2, dtype=dtype, reverse=reverse, kinds=("static", kind)).check()


@pytest.mark.parametrize("shared", [False, True])
def test_memory_of_a_gradient(shared):
    case = Case(4, 64, 8000, shared=shared)
    y, to_x = case.forward(), case.allocate(1 if shared else 64, "float32")
    needs = Needs(True, True, True, False, False)

    def gradient():
        return kernel.vjp(case.problem, case.operands, y, case.grad_y, None, needs, lambda *_: to_x)

    gradient()
    tracemalloc.start()
    try:
        gradient()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # a shared x has partial sums over channels, one row for each slice of them
    assert peak < 0.1 * (y.nbytes + case.grad_y.nbytes)


@pytest.mark.parametrize("order", [2, pytest.param(3, marks=LONG)])
@pytest.mark.parametrize("kind", ["static", pytest.param("time_varying", marks=LONG)])
def test_only_the_wanted_gradients(kind, order):
    case = Case(2, 20, 80, shared=True, kinds=(kind, kind), q=order, p=order)
    y = case.forward()
    full = case.vjp(y)
    for wanted in range(5):
        got = case.vjp(y, needs=Needs(*(index == wanted for index in range(5))))
        for index, gradient in enumerate(got):
            assert (gradient is None) == (index != wanted)
        np.testing.assert_array_equal(got[wanted], full[wanted])


@pytest.mark.parametrize("shared", [False, True])
def test_threads_do_not_change_a_bit(shared):
    case = Case(3, 70, 2000, shared=shared)
    before, results = _threads.num_threads(), []
    try:
        for count in (1, 2, 5):
            _threads.set_num_threads(count)
            y = case.forward()
            results.append((y, *case.vjp(y)))
    finally:
        _threads.set_num_threads(before)
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.fixture
def past_the_caches(monkeypatch):
    """Return a switch that has every output, or none, count as a large one."""

    def switch(on):
        monkeypatch.setattr(_plan, "LARGE", -1 if on else 1 << 60)
        _plan.plan.cache_clear()

    yield switch
    monkeypatch.undo()
    _plan.plan.cache_clear()


def forward_within(case, shift):
    """Filter into the middle of a larger array, `shift` items after a cache line begins, and return all of it."""
    shape = case.problem.batch, case.problem.channels, case.problem.length
    axes, room = AXES[case.problem.layout], np.zeros(np.prod(shape) + 256, case.operands.x.dtype)
    start = -room.ctypes.data % 64 // room.itemsize + 64 + shift
    room[:start] = room[start + np.prod(shape) :] = 7
    y = room[start : start + np.prod(shape)].reshape([shape[axis] for axis in axes]).transpose(np.argsort(axes))
    kernel.forward(case.problem, case.operands, lambda channels, dtype: y)
    assert (room[:start] == 7).all()
    assert (room[start + np.prod(shape) :] == 7).all()
    return y


@pytest.mark.parametrize(
    "dtype", [name if name in ("float32", "bfloat16") else pytest.param(name, marks=LONG) for name in TOLERANCE]
)
@pytest.mark.parametrize("layout", ["BCT", "BTC"])
def test_large_outputs_are_the_same_bits(dtype, layout, past_the_caches):
    sizes = [(16, 64, 0), (64, 130, 0), (20, 67, 1), (33, 200, 3), (1, 1, 5), (48, 129, 0)]
    for (channels, length, shift), reverse in itertools.product(sizes, (False, True)):
        case = Case(2, channels, length, dtype=dtype, layout=layout, reverse=reverse)
        results = []
        for on in (False, True):
            past_the_caches(on)
            results.append(forward_within(case, shift))
        np.testing.assert_array_equal(results[1], results[0])


def test_non_finite_stays_in_its_channel():
    case = Case(1, 20, 300, q=2, p=2)
    clean = case.forward()
    x = case.operands.x.copy()
    x[0, 3, 100], x[0, 7, 10] = np.nan, np.inf
    case.operands = case.operands._replace(x=x)
    y = case.forward()
    assert not np.isfinite(y[0, 3, 100:]).any()
    assert not np.isfinite(y[0, 7, 10:]).any()
    others = [channel for channel in range(20) if channel not in (3, 7)]
    np.testing.assert_array_equal(y[0, others], clean[0, others])


def test_subnormals_are_flushed_inside_only():
    case = Case(1, 20, 4000, q=0, p=1, state=False)
    x = np.zeros_like(case.operands.x)
    x[..., 0] = 1
    case.operands = case.operands._replace(x=x, feedback=np.full_like(case.operands.feedback, 0.9))
    y = case.forward()
    assert not ((y != 0) & (np.abs(y) < np.finfo("float32").tiny)).any()
    assert np.float32(1e-38) * np.float32(0.01) > 0
