"""Sequences in one row of time in the numba backend, against separate calls of the reference and of itself."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from multirec._machine import threads as _threads

pytest.importorskip("llvmlite")

from multirec_backends.numba._kernel import kernel
from multirec_backends.numba._recurrence import plan as _plan
from test_numba import Case, close

from multirec.backend import Needs, Operands
from multirec.reference import kernel as reference

GATES = {"q": None, "p": 1, "kinds": ("static", "time_varying")}
BANK = {"q": 2, "p": 2}
DEEP = {"q": 4, "p": 5, "shared": True}
VARYING = {"q": 2, "p": 2, "kinds": ("time_varying", "time_varying")}
VARYING_DEEP = {"q": 3, "p": 4, "kinds": ("time_varying", "time_varying")}
OTHERS = [
    {"q": 1, "p": 2, "kinds": ("static", "time_varying"), "shared": True},
    {"q": 1, "p": None, "kinds": ("time_varying", "static")},
    {"q": 5, "p": None},
    {"q": 3, "p": 1},
    {"q": 0, "p": 3, "kinds": ("static", "time_varying")},
    {"q": 2, "p": 2, "dtype": "complex64"},
    {"q": 1, "p": 3, "dtype": "complex128"},
    {"q": 1, "p": 1, "dtype": "bfloat16"},
    {"q": 1, "p": 2, "compute_dtype": "float64"},
    {"q": 2, "p": 1, "dtype": "float64", "complex_taps": True},
]


class SequenceCase(Case):
    """Several sequences in one row of time; with `count` each has a state of its own."""

    def __init__(self, numbers, count=None, channels=5, **options):
        self.numbers, self.count = np.asarray(numbers, np.int32), count
        batch, length = self.numbers.shape
        super().__init__(batch, channels, length, **options)
        self.states = batch if count is None else count
        problem = self.problem
        outputs, self.grad_last = (self.past(problem.channels, problem.order, problem.state_dtype) for _ in range(2))
        if self.operands.outputs is not None:
            inputs = self.past(problem.x_channels, problem.input_order, problem.dtype)
            self.operands = self.operands._replace(inputs=inputs, outputs=outputs)

    def past(self, channels, depth, dtype):
        return self.noise((self.states, channels, depth), dtype)

    def run(self):
        """Return y, the last outputs, and all gradients."""
        place = self.problem, self.operands, self.numbers, self.count
        y, last = kernel.forward_sequences(*place, self.allocate)
        needs = Needs(*(operand is not None for operand in self.operands))
        return y, last, kernel.vjp_sequences(*place, y, self.grad_y, self.grad_last, needs, self.allocate)

    def pieces(self):
        """Yield of every sequence: example, samples, state, and whether it has the state given and that returned."""
        for example, row in enumerate(self.numbers):
            bounds = [0, *(np.flatnonzero(np.diff(row)) + 1), len(row)]
            runs = [part for part in itertools.pairwise(bounds) if part[0] < part[1] and row[part[0]] >= 0]
            for i, (low, high) in enumerate(runs):
                edges = row[low] == 0, i == len(runs) - 1
                own = (True, True) if self.count is not None else edges[:: -1 if self.problem.reverse else 1]
                yield example, slice(low, high), example if self.count is None else row[low], *own

    def alone(self, example, time, state, given):
        """Return the problem and operands of one sequence."""
        problem, (x, *taps, inputs, outputs) = self.problem, self.operands
        own = []
        for array, kind in zip(taps, (problem.feedforward, problem.feedback), strict=True):
            if array is None:
                own.append((None, None))
                continue
            one = array[min(example, len(array) - 1)][None]
            one = one if kind.time == 1 else one[:, :, time]
            own.append((one, replace(kind, batch=1, time=one.shape[2])))
        (b, b_taps), (a, a_taps) = own
        past = [array[state][None] if given and array is not None else None for array in (inputs, outputs)]
        length = time.stop - time.start
        one = replace(problem, batch=1, length=length, feedforward=b_taps, feedback=a_taps)
        return one, Operands(x[example, :, time][None], b, a, *past)

    def expected(self):
        """Return what separate calls of the reference give."""
        problem, p = self.problem, self.problem.order
        wide = np.complex128 if problem.is_complex else np.float64
        y = np.zeros((problem.batch, problem.channels, problem.length), wide)
        last = np.zeros(self.grad_last.shape, wide)
        given = self.operands
        found = [None if array is None else np.zeros(array.shape, wide) for array in given]
        # without samples a state stays as it is
        without = set(range(self.states))
        for example, time, state, starts, ends in self.pieces():
            without.discard(state)
            one, operands = self.alone(example, time, state, starts)
            if one.dtype == "bfloat16":
                # what is added to a gradient is of no half type
                one = replace(one, dtype="float32", y_dtype="float32")
                past = operands.inputs if operands.inputs is None else self.widened(operands.inputs)
                operands = operands._replace(x=self.widened(operands.x), inputs=past)
            out = reference.wide_forward(one, operands)
            y[example, :, time] = out[0]
            # the samples of state and sequence, in running order, of which the last p are the state after it
            step = -1 if problem.reverse else 1
            past = np.zeros(last.shape[1:]) if operands.outputs is None else operands.outputs[0]
            if ends:
                last[state] = np.concatenate([past[:, ::step], out[0][:, ::step]], 1)[:, one.length :][:, ::step]
            rows = np.zeros((problem.channels, p + one.length), wide)
            if ends:
                rows[:, one.length :] = self.grad_last[state][:, ::step]
            grad_y = self.widened(self.grad_y[example, :, time])[None] + rows[:, p:][:, ::step]
            gradients = reference.wide_vjp(one, operands, grad_y)
            for target, part in zip(found[:3], gradients[:3], strict=True):
                if target is None:
                    continue
                where = target[example if len(target) > 1 else 0]
                where[:, time if target.shape[2] == len(self.numbers[0]) else slice(None)] += part[0]
            if starts and operands.outputs is not None:
                found[3][state] = gradients.inputs[0]
                found[4][state] = gradients.outputs[0] + rows[:, :p][:, ::step]
        for state in without if given.outputs is not None else ():
            last[state], found[4][state] = given.outputs[state], self.grad_last[state]
        return y, last, found

    def widened(self, array):
        return (array.astype(np.uint32) << 16).view(np.float32) if array.dtype == np.uint16 else array

    def check(self):
        problem = self.problem
        (y, last, got), (y_wanted, last_wanted, wanted) = self.run(), self.expected()
        close(y, y_wanted, problem.y_dtype)
        close(last, last_wanted, problem.state_dtype, name="last")
        for name, mine, theirs in zip(got._fields, got, wanted, strict=True):
            assert (mine is None) == (theirs is None)
            if mine is not None:
                real = name in ("x", "inputs") and not problem.dtype.startswith("complex")
                close(
                    mine, theirs.real if real else theirs, problem.dtype if name == "x" else problem.y_dtype, 10, name
                )


def marks(length, *begins, end=None):
    """The numbers of one example whose sequences begin at samples, and whose padding begins at `end`."""
    row = np.zeros(length, int)
    for begin in begins:
        row[begin:] += 1
    row[length if end is None else end :] = -1
    return row


def examples(length=131):
    """Boundaries at the edges of tiles and beside them, short sequences, padding, and nothing but padding."""
    return np.stack([
        marks(length, 63, 64, 65, 66, 127, 129),
        marks(length, 0, 1, 62, 128, end=129),
        marks(length, end=64),
        marks(length, 10, 11, 12, 20, end=21),
        marks(length, end=0),
        marks(length),
        marks(length, 1, 2, 3, 66, 67, end=68),
    ])  # fmt: skip


def packed(*lengths):
    """The numbers of sequences of these lengths in one row, and how many there are."""
    return np.repeat(np.arange(len(lengths)), lengths)[None], len(lengths)


def long(*cases):
    return [pytest.param(*case, marks=pytest.mark.long) for case in cases]


EXAMPLES = (examples(), None)
PACKED = packed(62, 1, 0, 2, 63, 0, 1, 1, 70, 0)
# each compiles its own kernels
FIRST = [(GATES, EXAMPLES), (GATES, PACKED), (BANK, EXAMPLES), (DEEP, EXAMPLES)]
REST = [(BANK, PACKED), (DEEP, PACKED), *itertools.product((VARYING, VARYING_DEEP, *OTHERS), (EXAMPLES, PACKED))]


@pytest.mark.parametrize(("kinds", "rows"), [*FIRST, *long(*REST)])
def test_equal_to_separate_calls(kinds, rows):
    sizes = [("BCT", 1), ("BTC", 40), ("TBC", 3), ("BCT", 40), ("BTC", 3), ("TBC", 40)]
    for index, (layout, channels) in enumerate(sizes):
        options = dict(kinds, layout=layout, reverse=index % 2 == 1, state=index % 3 != 2, seed=index)
        SequenceCase(*rows, channels=channels, **options).check()


@pytest.mark.parametrize("length", [0, 1, 2, 64])
def test_short_rows(length):
    for reverse in (False, True):
        rows = [marks(length), marks(length, end=0), marks(length, 0)] if length else np.zeros((3, 0), int)
        SequenceCase(np.stack(rows), **BANK, reverse=reverse).check()
        SequenceCase(*packed(0, length, 0), **BANK, reverse=reverse).check()


def test_gates_are_bitwise_those_of_a_call_alone():
    case = SequenceCase(examples(), channels=40, layout="BTC", **GATES)
    y, _, gradients = case.run()
    for example, time, state, given, ends in case.pieces():
        problem, operands = case.alone(example, time, state, given)

        def allocate(channels, dtype, length=problem.length):
            return np.empty((1, channels, length), dtype)

        own = kernel.forward(problem, operands, allocate)
        assert np.array_equal(own[0], y[example, :, time])
        grad_y, last = case.grad_y[example, :, time][None], case.grad_last[example][None] if ends else None
        needs = Needs(*(part is not None for part in gradients))
        alone = kernel.vjp(problem, operands, own, grad_y, last, needs, allocate)
        assert np.array_equal(alone.x[0], gradients.x[example, :, time])
        assert np.array_equal(alone.feedback[0], gradients.feedback[example, :, time])


def spoil(case, samples):
    """Put NaN wherever the samples of an example are."""
    operands = case.operands
    for array in (operands.x, case.grad_y, *operands[1:3]):
        if array is not None and array.shape[2] == samples.shape[1]:
            array[np.broadcast_to(samples[:, None, :, None] if array.ndim == 4 else samples[:, None], array.shape)] = (
                np.nan
            )


@pytest.mark.parametrize("kinds", [GATES, BANK, DEEP, *long((VARYING,), (VARYING_DEEP,))])
def test_nan_stays_where_it_is(kinds):
    for reverse, channels in itertools.product((False, True), (3, 40)):
        numbers, options = examples(), dict(kinds, channels=channels, reverse=reverse, state=False)
        y, last, gradients = SequenceCase(numbers, **options).run()
        others = np.zeros(numbers.shape, bool)
        others[0, 63:64] = others[0, 66:127] = True
        case = SequenceCase(numbers, **options)
        spoil(case, others | (numbers == -1))
        y_spoilt, last_spoilt, gradients_spoilt = case.run()
        assert np.array_equal(last, last_spoilt)
        for mine, theirs in ((y, y_spoilt), *zip(gradients, gradients_spoilt, strict=True)):
            if mine is None or mine.shape[2] != numbers.shape[1]:
                continue
            # padding holds zeros
            kept = np.broadcast_to(~(others[:, None, :, None] if mine.ndim == 4 else others[:, None]), mine.shape)
            assert np.array_equal(mine[kept], theirs[kept])


@pytest.mark.parametrize("kinds", [GATES, *long((VARYING,))])
def test_padding_of_gates_has_no_gradient_whatever_is_before_it(kinds):
    for reverse in (False, True):
        case = SequenceCase(examples(), **kinds, reverse=reverse)
        # the last sample of each sequence is no number
        ends = np.diff(case.numbers, append=-1) != 0
        spoil(case, ends & (case.numbers >= 0))
        _, _, gradients = case.run()
        for found in gradients[1:3]:
            if found is not None:
                assert not found[np.broadcast_to((case.numbers == -1)[:, None, :, None], found.shape)].any()


def test_the_same_bits_whatever_the_threads(monkeypatch):
    monkeypatch.setattr(_plan, "SMALL", 0)
    _plan.plan.cache_clear()
    before, found = _threads.num_threads(), []
    try:
        for threads in (1, 3):
            _threads.set_num_threads(threads)
            y, last, gradients = SequenceCase(examples(), channels=70, layout="BTC", **BANK).run()
            found.append((y, last, *gradients))
    finally:
        _threads.set_num_threads(before)
        _plan.plan.cache_clear()
    for one, other in zip(*found, strict=True):
        assert np.array_equal(one, other)


def test_numbers_of_any_strides():
    numbers = examples()
    want = SequenceCase(numbers, **GATES).run()
    for same in (np.asfortranarray(numbers.astype(np.int32)), np.repeat(numbers.astype(np.int32), 2, 1)[:, ::2]):
        case = SequenceCase(numbers, **GATES)
        case.numbers = same
        got = case.run()
        for one, other in zip((*want[:2], *want[2]), (*got[:2], *got[2]), strict=True):
            assert one is other or np.array_equal(one, other)


@pytest.mark.long
def test_needs_one_by_one():
    for kinds in (GATES, BANK):
        case = SequenceCase(examples(), **kinds)
        y, _, all_of_them = case.run()
        for index, wanted in enumerate(all_of_them):
            if wanted is None:
                continue
            needs = Needs(*(place == index for place in range(5)))
            one = kernel.vjp_sequences(
                case.problem, case.operands, case.numbers, None, y, case.grad_y, case.grad_last, needs, case.allocate
            )
            assert [part is not None for part in one] == list(needs)
            assert np.array_equal(one[index], wanted)
