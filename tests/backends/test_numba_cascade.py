"""Fused sections of the numba backend against the same sections stepped in extended precision, and against SciPy."""

from __future__ import annotations

import itertools
import tracemalloc
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy import signal

from multirec._machine import threads as _threads

pytest.importorskip("llvmlite")

from multirec_backends.numba._cascade import plan as _cascade_plan
from multirec_backends.numba._kernel import kernel

from multirec._core.problem import in_precision, real_precision
from multirec.backend import Cascade, CascadeKernel, CascadeNeeds, CascadeOperands, from_bfloat16, to_bfloat16

TOLERANCE = {
    "float32": 1e-5, "float64": 1e-13, "complex64": 1e-5, "complex128": 1e-13, "float16": 1e-3, "bfloat16": 8e-3,
}  # fmt: skip
AXES = {"BCT": (0, 1, 2), "BTC": (0, 2, 1), "TBC": (2, 0, 1)}
ALL = CascadeNeeds(True, True, True)


def step(x, taps, memory):
    """Filter x (B, C, T) through taps (…, S, 5), one sample at a time; return y, memory and all outputs."""
    memory, found = memory.copy(), []
    for s in range(taps.shape[2]):
        b0, b1, b2, f1, f2 = np.moveaxis(taps[:, :, s], -1, 0)
        m0, m1 = memory[:, :, s, 0], memory[:, :, s, 1]
        at_once, next_time, then = (b[..., None] * x for b in (b0, b1, b2))
        y = np.empty(x.shape, memory.dtype)
        for t in range(x.shape[2]):
            now = y[..., t] = at_once[..., t] + m0
            m0, m1 = next_time[..., t] + f1 * now + m1, then[..., t] + f2 * now
        memory[:, :, s, 0], memory[:, :, s, 1] = m0, m1
        found.append(y)
        x = y
    return x, memory, found


def adjoint(x, taps, memory, grad_y, grad_memory, grad_ends):
    """Return the gradients of x, taps and memory, all (B, C, …), by going back through every step."""
    _, _, outputs = step(x, taps, memory)
    length, grad = x.shape[2], grad_y.copy()
    to_taps = np.zeros((*x.shape[:2], *taps.shape[2:]), memory.dtype)
    to_memory = np.zeros(memory.shape, memory.dtype)
    for s in reversed(range(taps.shape[2])):
        b0, b1, b2, f1, f2 = np.moveaxis(taps[:, :, s].conj(), -1, 0)
        for i in range(min(2, length)):
            grad[..., -1 - i] += grad_ends[:, :, s, -1 - i]
        # of each output, and of the memory after the last
        own = np.concatenate([grad, grad_memory[:, :, s]], axis=2)
        for t in reversed(range(length)):
            own[..., t] += f1 * own[..., t + 1] + f2 * own[..., t + 2]
        later = [own[..., k : k + length] for k in range(3)]
        source, output = (x, *outputs)[s].conj(), outputs[s].conj()
        pairs = [*((lam, source) for lam in later), (later[1], output), (later[2], output)]
        to_taps[:, :, s] = np.stack([(lam * value).sum(2) for lam, value in pairs], axis=-1)
        to_memory[:, :, s] = own[..., :2]
        grad = sum(b[..., None] * lam for b, lam in zip((b0, b1, b2), later, strict=True))
    return grad, to_taps, to_memory


class Case:
    """A cascade with random operands, laid out as `layout` says."""

    def __init__(
        self, batch=2, channels=5, length=70, sections=3, *, shared=False, dtype="float32", layout="BCT", reverse=False,
        memory=True, per_example=False, one_filter=False, complex_taps=False, compute_dtype=None, seed=0,
    ):  # fmt: skip
        self.random = np.random.default_rng(seed)
        real = compute_dtype or real_precision(dtype)
        y_dtype = in_precision("complex64", real_precision(dtype)) if complex_taps else dtype
        taps_dtype = in_precision("complex64", real) if complex_taps else real
        self.cascade = Cascade(
            family="numpy", device="cpu", dtype=dtype, y_dtype=y_dtype, compute_dtype=real, layout=layout,
            reverse=reverse, batch=batch, channels=channels, length=length, x_channels=1 if shared else channels,
            sections=sections, taps_batch=batch if per_example else 1, taps_channels=1 if one_filter else channels,
            taps_dtype=taps_dtype,
        )  # fmt: skip
        states = (batch, channels, sections, 2)
        state_dtype = self.cascade.state_dtype
        shape = (self.cascade.taps_batch, self.cascade.taps_channels, sections, 5)
        taps = self.noise(shape, taps_dtype) * [0.3, 0.3, 0.3, 0.15, 0.15]
        taps[..., 0] += 1
        self.operands = CascadeOperands(
            self.signal(self.cascade.x_channels, dtype),
            taps.astype(taps_dtype),
            self.noise(states, state_dtype) if memory else None,
        )
        self.grad_y = self.signal(channels, y_dtype)
        self.grads = self.noise(states, state_dtype), self.noise(states, state_dtype)

    def noise(self, shape, dtype):
        values = self.random.standard_normal(shape)
        if dtype.startswith("complex"):
            values = values + 1j * self.random.standard_normal(shape)
        return to_bfloat16(values) if dtype == "bfloat16" else values.astype(dtype)

    def signal(self, channels, dtype):
        values = self.noise((self.cascade.batch, channels, self.cascade.length), dtype)
        axes = AXES[self.cascade.layout]
        return np.ascontiguousarray(values.transpose(axes)).transpose(np.argsort(axes))

    def allocate(self, channels, dtype):
        poison = self.signal(channels, dtype)
        poison.fill(0x7FC0 if dtype == "bfloat16" else np.nan)
        return poison

    def forward(self):
        return kernel.cascade(self.cascade, self.operands, self.allocate)

    def vjp(self, needs=ALL):
        return kernel.cascade_vjp(self.cascade, self.operands, self.grad_y, *self.grads, needs, self.allocate)

    def wide(self, array, dtype=None):
        """Return an operand in extended precision, in running order where it is a signal."""
        values = from_bfloat16(array) if array.dtype == np.uint16 else array
        is_complex = self.cascade.y_dtype.startswith("complex")
        return values.astype(np.clongdouble if is_complex else np.longdouble)

    def turned(self, array):
        return array[..., ::-1] if self.cascade.reverse else array

    def expected(self):
        """Return y, the memory after the block, and the ends."""
        x, taps, memory = self._inputs()
        y, after, outputs = step(x, taps, memory)
        ends = np.zeros(after.shape, after.dtype)
        count = min(2, y.shape[2])
        for s, output in enumerate(outputs):
            ends[:, :, s, 2 - count :] = output[..., output.shape[2] - count :]
        return self.turned(y), after, self.turned(ends)

    def expected_gradients(self):
        x, taps, memory = self._inputs()
        grad_memory, grad_ends = (self.wide(grad) for grad in self.grads)
        grad_y = self.turned(self.wide(self.grad_y))
        to_x, to_taps, to_memory = adjoint(x, taps, memory, grad_y, grad_memory, self.turned(grad_ends))
        cascade = self.cascade
        if cascade.shared:
            to_x = to_x.sum(axis=1, keepdims=True)
        for axis, size in ((0, cascade.taps_batch), (1, cascade.taps_channels)):
            if size == 1:
                to_taps = to_taps.sum(axis=axis, keepdims=True)
        if not cascade.dtype.startswith("complex"):
            to_x = to_x.real
        if not cascade.taps_dtype.startswith("complex"):
            to_taps = to_taps.real
        return self.turned(to_x), to_taps, to_memory

    def _inputs(self):
        cascade = self.cascade
        x = np.broadcast_to(self.wide(self.operands.x), (cascade.batch, cascade.channels, cascade.length))
        memory = self.operands.memory
        shape = (cascade.batch, cascade.channels, cascade.sections, 2)
        return self.turned(x), self.wide(self.operands.taps), self.wide(np.zeros(shape) if memory is None else memory)

    def check(self, gradients=True):
        cascade = self.cascade
        dtypes = (cascade.y_dtype, cascade.state_dtype, cascade.state_dtype)
        for got, want, dtype, name in zip(
            self.forward(), self.expected(), dtypes, ("y", "memory", "ends"), strict=True
        ):
            close(got, want, dtype, 1, name)
        if gradients:
            got, want = self.vjp(), self.expected_gradients()
            dtypes = (cascade.dtype, cascade.state_dtype, cascade.state_dtype)
            for mine, theirs, dtype, name in zip(got, want, dtypes, got._fields, strict=True):
                close(mine, theirs, dtype, 5, f"gradient of {name}")


def close(got, want, dtype, factor, name):
    assert got.shape == want.shape, name
    if got.dtype == np.uint16:
        got = from_bfloat16(got)
    if got.size:
        error = np.abs(got - want).max() / max(np.abs(want).max(), 1e-9)
        assert error <= factor * TOLERANCE[dtype], f"{name}: {error}"


def same(one, other):
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine, theirs)


SIZES = [
    *((2, 33, 130, 3), (3, 5, 67, 2), (1, 1, 1, 4), (1, 3, 2, 1), (2, 40, 64, 5), (1, 18, 3, 16), (2, 4, 0, 2)),
    *((2, 2, 67, 2), (1, 3, 67, 5)),
]


def test_it_is_a_cascade_kernel():
    assert isinstance(kernel, CascadeKernel)
    assert kernel.cascades(Case().cascade)


# each compiles its own kernels
LONG = pytest.mark.long
FIRST = [("BCT", "float32")]
OTHERS = [each for each in itertools.product(AXES, ("float32", "float64")) if each not in FIRST]


@pytest.mark.parametrize(("layout", "dtype"), [*FIRST, *(pytest.param(*each, marks=LONG) for each in OTHERS)])
def test_values_and_gradients(dtype, layout):
    for index, (size, shared, reverse) in enumerate(itertools.product(SIZES, (False, True), (False, True))):
        Case(
            *size, shared=shared, dtype=dtype, layout=layout, reverse=reverse, memory=index % 4 != 1,
            per_example=index % 3 == 0, one_filter=index % 5 == 0, seed=index,
        ).check()  # fmt: skip


@pytest.mark.parametrize(
    "dtype", ["bfloat16", *(pytest.param(name, marks=LONG) for name in ("float16", "complex64", "complex128"))]
)
def test_every_data_type(dtype):
    for index, (layout, shared) in enumerate(itertools.product(AXES, (False, True))):
        for complex_taps, channels in itertools.product({False, dtype.startswith("complex")}, (2, 18)):
            Case(
                2, channels, 70, shared=shared, dtype=dtype, layout=layout, reverse=index % 2 == 0,
                complex_taps=complex_taps, per_example=shared,
            ).check()  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.long)])
def test_real_input_with_complex_taps(dtype):
    for shared, channels in itertools.product((False, True), (1, 3, 40)):
        Case(2, channels, 67, shared=shared, dtype=dtype, complex_taps=True).check()


@pytest.mark.parametrize("layout", ["BTC", *(pytest.param(name, marks=LONG) for name in ("BCT", "TBC"))])
@pytest.mark.parametrize("dtype", [pytest.param("float16", marks=LONG), "float32"])
def test_wide_arithmetic(dtype, layout):
    for shared, channels in itertools.product((False, True), (2, 18)):
        Case(
            2, channels, 70, shared=shared, dtype=dtype, layout=layout, reverse=shared, compute_dtype="float64"
        ).check()


@pytest.mark.parametrize(("channels", "lengths"), [(20, (63, 65, 128, 129)), (2, (511, 512, 513, 1025))])
def test_lengths_around_the_pieces_of_a_gradient(channels, lengths):
    for length in lengths:
        Case(1, channels, length, 2, dtype="float64").check()


@pytest.mark.parametrize(("sections", "dtype"), [(16, "float32"), (70, "float64")])
def test_many_sections(sections, dtype):
    for channels in (1, 17):
        case = Case(1, channels, 70, sections, dtype=dtype)
        case.operands.taps[..., :] *= [1, 0.1, 0.1, 0.1, 0.1]
        case.check()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("length", "sections"), [(5, 9), (300, 1), (4200, 10)])
def test_both_ways_forward_give_the_same_bits(length, sections, dtype, monkeypatch):
    case, results = Case(1, 3, length, sections, dtype=dtype), []
    case.operands.taps[..., 1:] *= 0.3
    for many in (False, True):
        monkeypatch.setattr(_cascade_plan, "_many", lambda _, many=many: many)
        _cascade_plan.plan.cache_clear()
        results.append(case.forward())
    _cascade_plan.plan.cache_clear()
    same(*results)


@pytest.mark.parametrize("size", [(2, 20, 700, 3), (1, 2, 5000, 2)])
def test_stretches_do_not_change_a_bit(size, monkeypatch):
    case = Case(*size)
    want = case.vjp()
    _cascade_plan.plan.cache_clear()
    monkeypatch.setattr(_cascade_plan, "_STARTS", 1)
    same(case.vjp(), want)
    _cascade_plan.plan.cache_clear()


@pytest.mark.parametrize("shared", [False, True])
def test_memory_of_a_gradient(shared):
    case = Case(4, 64, 8000, shared=shared)
    to_x = case.allocate(case.cascade.x_channels, "float32")
    for needs in (ALL, CascadeNeeds(False, True, False)):
        kernel.cascade_vjp(case.cascade, case.operands, case.grad_y, *case.grads, needs, lambda *_: to_x)
        tracemalloc.start()
        try:
            kernel.cascade_vjp(case.cascade, case.operands, case.grad_y, *case.grads, needs, lambda *_: to_x)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        # a shared x has partial sums over channels, one row for each slice of them
        assert peak < 0.1 * case.grad_y.nbytes


@pytest.mark.parametrize("reverse", [False, True])
def test_few_rows_that_share_x_add_up_what_rows_of_their_own_get(reverse):
    case = Case(2, 3, 600, 9, shared=True, reverse=reverse)
    assert not _cascade_plan.plan(case.cascade, ALL).slices
    shared = case.vjp()
    x = np.broadcast_to(case.operands.x, (2, 3, 600))
    case.operands, case.cascade = case.operands._replace(x=x), replace(case.cascade, x_channels=3)
    own = case.vjp()
    same(shared, own._replace(x=own.x.sum(axis=1, keepdims=True)))


@pytest.mark.parametrize("sections", [1, 2, 7])
@pytest.mark.parametrize("reverse", [False, True])
def test_scipy_goes_on_where_it_stops(sections, reverse):
    case = Case(2, 6, 300, sections, dtype="float64", reverse=reverse, per_example=True)
    y, memory, _ = case.forward()
    taps, x = case.operands.taps, case.turned(case.operands.x)
    ones = np.ones((*taps.shape[:3], 1))
    sos = np.concatenate([taps[..., :3], ones, -taps[..., 3:]], axis=-1)
    for example, channel in np.ndindex(2, 6):
        want, after = signal.sosfilt(
            sos[example, channel], x[example, channel], zi=case.operands.memory[example, channel]
        )
        np.testing.assert_allclose(case.turned(y)[example, channel], want, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(memory[example, channel], after, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("size", [(2, 20, 200, 3), (1, 2, 9000, 5)])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_block_in_pieces_is_the_same_bits(size, reverse):
    case = Case(*size, reverse=reverse)
    whole = case.forward()
    length, memory, ys = size[2], case.operands.memory, []
    cuts = [0, 1, 2, 64, 129, length]
    for start, end in itertools.pairwise(cuts):
        part = slice(length - end, length - start) if reverse else slice(start, end)
        piece = Case(size[0], size[1], end - start, size[3], reverse=reverse)
        operands = CascadeOperands(case.operands.x[..., part], case.operands.taps, memory)
        y, memory, ends = kernel.cascade(piece.cascade, operands, piece.allocate)
        ys.append(y)
    same((np.concatenate(ys[::-1] if reverse else ys, axis=-1), memory, ends), whole)


@pytest.mark.parametrize("size", [(2, 20, 200, 3), (1, 2, 9000, 5)])
@pytest.mark.parametrize(("layout", "dtype"), [("BCT", "float32"), ("BTC", "float32"), ("BCT", "bfloat16")])
def test_in_place(size, layout, dtype):
    case = Case(*size, layout=layout, dtype=dtype)
    want = case.forward()
    same(kernel.cascade(case.cascade, case.operands, lambda *_: case.operands.x), want)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("size", [(3, 70, 2000, 4), (2, 2, 20000, 2)])
def test_threads_do_not_change_a_bit(size, shared):
    case = Case(*size, shared=shared)
    before, results = _threads.num_threads(), []
    try:
        for count in (1, 2, 5):
            _threads.set_num_threads(count)
            results.append((*case.forward(), *case.vjp()))
    finally:
        _threads.set_num_threads(before)
    for other in results[1:]:
        same(results[0], other)


@pytest.fixture
def past_the_caches(monkeypatch):
    """Return a switch that has every output, or none, count as a large one."""

    def switch(on):
        monkeypatch.setattr(_cascade_plan, "LARGE", -1 if on else 1 << 60)
        _cascade_plan.plan.cache_clear()

    yield switch
    monkeypatch.undo()
    _cascade_plan.plan.cache_clear()


def within(case, shift):
    """Return an allocation within a larger array, `shift` items after a line begins, and what checks its rims."""
    shape, dtype = (case.cascade.batch, case.cascade.channels, case.cascade.length), case.operands.x.dtype
    axes, room = AXES[case.cascade.layout], np.full(np.prod(shape) + 256, 7, dtype)
    start = -room.ctypes.data % 64 // room.itemsize + 64 + shift
    end = start + np.prod(shape)
    place = room[start:end].reshape([shape[axis] for axis in axes]).transpose(np.argsort(axes))
    return lambda *_: place, lambda: (room[:start] == 7).all() and (room[end:] == 7).all()


@pytest.mark.parametrize("dtype", ["float32", *(pytest.param(name, marks=LONG) for name in ("complex64", "float16"))])
@pytest.mark.parametrize("layout", ["BCT", "BTC"])
def test_large_outputs_are_the_same_bits(dtype, layout, past_the_caches):
    sizes = [(16, 64, 0), (64, 130, 0), (20, 67, 1), (33, 200, 3), (1, 1, 5), (2, 9001, 3)]
    for (channels, length, shift), reverse in itertools.product(sizes, (False, True)):
        case, results = Case(2, channels, length, dtype=dtype, layout=layout, reverse=reverse), []
        for on in (False, True):
            past_the_caches(on)
            for call in (case.forward, case.vjp):
                case.allocate, untouched = within(case, shift)
                results.append([part.copy() for part in call()])
                assert untouched()
        same(results[2], results[0])
        same(results[3], results[1])


@pytest.mark.parametrize("size", [(2, 20, 300, 3), (1, 3, 9000, 3), (2, 2, 600, 3)])
def test_non_finite_stays_in_its_channel(size):
    case = Case(*size, per_example=True)
    clean, gradients = case.forward(), case.vjp()
    case.operands.x[0, 0, 100], case.operands.memory[-1, -1, 1, 0] = np.nan, np.inf
    case.grad_y[0, 0, 7] = np.inf
    bad = {(0, 0), (size[0] - 1, size[1] - 1)}
    others = tuple(zip(*(row for row in np.ndindex(size[:2]) if row not in bad), strict=True)) or ((), ())
    found = case.forward()
    assert not np.isfinite(found.y[0, 0, 100:]).any()
    for got, want in zip((*found, *case.vjp()), (*clean, *gradients), strict=True):
        np.testing.assert_array_equal(got[others], want[others])


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("channels", [3, 20])
def test_a_bad_filter_harms_no_other(channels, shared):
    case = Case(2, channels, 600, 4, shared=shared)
    clean, gradients = case.forward(), case.vjp()
    case.operands.taps[0, 1, 2] = np.nan
    others = [channel for channel in range(channels) if channel != 1]
    for got, want in zip((*case.forward(), *case.vjp()[1:]), (*clean, *gradients[1:]), strict=True):
        assert not np.isfinite(got[:, 1]).all()
        np.testing.assert_array_equal(got[:, others], want[:, others])


def test_a_shared_input_that_is_not_finite_harms_no_other_example():
    case = Case(2, 20, 300, 3, shared=True)
    clean, gradients = case.forward(), case.vjp()
    case.operands.x[0, 0, 5] = np.inf
    for got, want in zip((*case.forward(), *case.vjp()[::2]), (*clean, *gradients[::2]), strict=True):
        np.testing.assert_array_equal(got[1], want[1])
    # the gradient of x needs no x
    np.testing.assert_array_equal(case.vjp().x, gradients.x)


def test_subnormals_are_flushed():
    for channels in (1, 20):
        case = Case(1, channels, 9000, 2, memory=False)
        case.operands.x[..., 1:] = 0
        case.operands.taps[...] = [1, 0, 0, 0.9, 0]
        y = case.forward().y
        assert y.any()
        assert not ((y != 0) & (np.abs(y) < np.finfo("float32").tiny)).any()


@pytest.mark.parametrize("step", [2, -1, -3])
def test_any_strides(step):
    for channels in (2, 20):
        case = Case(2, channels, 80)
        x = case.noise((2, channels * 3, 240), "float32")[:, ::3, ::step][..., :80]
        taps = np.broadcast_to(case.operands.taps[:, :, :1], case.operands.taps.shape)
        case.operands = CascadeOperands(x, taps, case.operands.memory[..., ::-1])
        case.grad_y = np.broadcast_to(np.float32(1), (2, channels, 80))
        case.check()


@pytest.mark.parametrize("shared", [False, True])
def test_only_the_wanted_gradients(shared):
    for size in ((2, 20, 80, 3), (1, 2, 5000, 2)):
        case = Case(*size, shared=shared)
        full = case.vjp()
        for wanted in range(3):
            got = case.vjp(CascadeNeeds(*(index == wanted for index in range(3))))
            for index, gradient in enumerate(got):
                assert (gradient is None) == (index != wanted)
            np.testing.assert_array_equal(got[wanted], full[wanted])


def test_gradients_that_are_not_given_are_zeros():
    case = Case()
    zeros = tuple(np.zeros_like(grad) for grad in case.grads)
    absent = kernel.cascade_vjp(case.cascade, case.operands, case.grad_y, None, None, ALL, case.allocate)
    case.grads = zeros
    same(absent, case.vjp())


DESIGNS = {
    "20 Hz high-pass": partial(signal.butter, 4, 20, "highpass", fs=48000, output="sos"),
    "mains notch": lambda: signal.tf2sos(*signal.iirnotch(50, 30, fs=48000)),
}


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("channels", [1, 20])
def test_float32_is_as_accurate_as_stepping(design, channels):
    sos = DESIGNS[design]()
    case = Case(1, channels, 24000, len(sos), memory=False)
    case.operands.taps[...] = np.concatenate([sos[:, :3], -sos[:, 4:]], axis=-1)
    want = case.expected()[0]
    stepped = step(case.operands.x, case.operands.taps, np.zeros((1, channels, len(sos), 2), "float32"))[0]
    assert np.abs(case.forward().y - want).max() <= 3 * np.abs(stepped - want).max()
