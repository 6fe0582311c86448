"""Few long signals: time is cut into segments that run side by side, like channels.

Every segment runs once from zero state, for its end alone. The true states follow from a scan over segments with
powers of the state's transition in float64, and a second run from them gives the result: nothing is
corrected afterwards. The gradient goes the same way backwards: what a segment's past outputs receive is the
`grad_last` of the segment before. The samples that do not fill a segment come last, on their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from multirec.backend import HALF_DTYPES, Gradients, Needs, Operands, Problem, Taps

Signal = npt.NDArray[Any]
Forward = Callable[[Problem, Operands, Signal | None, Signal | None], None]
Vjp = Callable[[Problem, Operands, Any, Signal, Signal | None, Needs, Signal | None], Gradients]

_FEW, _LONG, _SEGMENT, _LANES, _ORDER = 8, 1 << 14, 512, 512, 32
"""At most so many signals, at least so many samples; segments of at least so many, on so many lanes; orders to this."""
_GROWTH = 1e6
"""A transition that grows beyond this is unstable, and is run from sample to sample."""


def worthwhile(problem: Problem) -> bool:
    """Say whether the shape asks for segments."""
    return (
        problem.length >= _LONG
        and problem.batch * problem.channels <= _FEW
        and max(problem.order, problem.input_order) <= _ORDER
        and not problem.time_varying
        and problem.dtype not in HALF_DTYPES
    )


class _Cut:
    """One example cut into segments: problem (channels, segments, samples), and the rest of the samples."""

    def __init__(self, problem: Problem, operands: Operands, example: int) -> None:
        self.flip = problem.reverse
        channels, length = problem.channels, problem.length
        p, q = problem.order, problem.input_order
        self.count = min(max(_LANES // channels, 1), length // _SEGMENT)
        # the rest holds every sample that a gradient of the last outputs may belong to
        self.size = (length - max(p, q, 1)) // self.count // 64 * 64
        self.split = self.count * self.size
        self.x = np.broadcast_to(self.one(operands.x, example), (channels, length))
        b, a = (self._filters(taps, example) for taps in operands[1:3])
        self.past_x = self._state(operands.inputs, example, (channels, q), problem.dtype)
        self.past_y = self._state(operands.outputs, example, (channels, p), problem.state_dtype)
        common = replace(
            problem, reverse=False, layout="BCT", batch=channels, feedforward=_taps(b, problem.feedforward),
            feedback=_taps(a, problem.feedback),
        )  # fmt: skip
        self.problem = replace(common, channels=self.count, x_channels=self.count, length=self.size)
        self.rest = replace(common, channels=1, x_channels=1, length=length - self.split)
        self.b, self.a, self.p, self.q = b, a, p, q

    def one(self, signal: Signal, example: int) -> Signal:
        """Return one example (channels, time), in running order."""
        return signal[example, :, ::-1] if self.flip else signal[example]

    def cut(self, signal: Signal) -> Signal:
        """Return (channels, segments, samples)."""
        return signal[:, : self.split].reshape(signal.shape[0], self.count, self.size)

    def tail(self, signal: Signal) -> Signal:
        return signal[:, None, self.split :]

    def before(self, signal: Signal, past: Signal, depth: int) -> Signal:
        """Return the `depth` samples before every segment and before the rest (channels, segments + 1, depth)."""
        ends = np.arange(1, self.count + 1)[:, None] * self.size - depth + np.arange(depth)
        return np.concatenate([past[:, None], signal[:, ends]], axis=1)

    def operands(self, x: Signal, inputs: Signal, outputs: Signal) -> Operands:
        return Operands(x, self.b, self.a, inputs, outputs)

    def transition(self) -> Signal | None:
        """Return the powers of a segment's transition (log2, channels, p, p) in float64; None if they grow."""
        p, dtype = self.p, np.result_type(self.problem.state_dtype, np.float64)
        if self.a is None or not p:
            return np.zeros((0, 1, 0, 0))
        step = np.zeros((self.a.shape[0], p, p), dtype)
        step[:, range(p - 1), range(1, p)] = 1
        step[:, p - 1] = self.a[:, 0, 0, ::-1]
        with np.errstate(all="ignore"):
            power = np.linalg.matrix_power(step, self.size)
            powers = [power]
            # the first state too reaches the end, `count` segments away
            while 1 << len(powers) <= self.count:
                power = power @ power
                powers.append(power)
        found = np.stack(powers)
        grows = not np.all(np.abs(found) < _GROWTH)
        return None if grows else np.asarray(found)

    def _filters(self, taps: Signal | None, example: int) -> Signal | None:
        if taps is None:
            return None
        one: Signal = taps[min(example, taps.shape[0] - 1)]
        return one[:, None]

    def _state(self, state: Signal | None, example: int, shape: tuple[int, int], dtype: str) -> Signal:
        return np.zeros(shape, dtype) if state is None else np.broadcast_to(self.one(state, example), shape)


def _taps(array: Signal | None, taps: Taps | None) -> Taps | None:
    return None if array is None or taps is None else replace(taps, batch=array.shape[0], channels=1)


def _scan(ends: Signal, first: Signal, powers: Signal) -> Signal:
    """Return the states at the segments' starts and at the end (channels, segments + 1, p) in float64.

    `ends` are the segments' ends from zero state, `powers` those of the transition to 1, 2, 4, … segments.
    """
    states = np.concatenate([first[:, None], ends], axis=1).astype(np.result_type(ends.dtype, np.float64))
    with np.errstate(all="ignore"):
        for i, power in enumerate(powers):
            reach = 1 << i
            states[:, reach:] += np.matmul(states[:, :-reach], power.swapaxes(-1, -2))
    return states


def forward(problem: Problem, operands: Operands, y: Signal, last: Signal | None, run: Forward) -> bool:
    """Fill y, and `last` if given, and return True, or return False if it must run from sample to sample."""
    cuts = [_Cut(problem, operands, example) for example in range(problem.batch)]
    transitions = [cut.transition() for cut in cuts]
    if any(powers is None for powers in transitions):
        return False
    for example, (cut, powers) in enumerate(zip(cuts, transitions, strict=True)):
        assert powers is not None
        out = cut.one(y, example)
        inputs = cut.before(cut.x, cut.past_x, cut.q)
        x = cut.cut(cut.x)
        states = np.zeros((problem.channels, cut.count + 1, cut.p), problem.state_dtype)
        if cut.p:
            ends = np.empty((problem.channels, cut.count, cut.p), problem.state_dtype)
            run(cut.problem, cut.operands(x, inputs[:, :-1], states[:, :-1]), None, ends)
            states = _scan(ends, cut.past_y, powers).astype(problem.state_dtype)
        run(cut.problem, cut.operands(x, inputs[:, :-1], states[:, :-1]), cut.cut(out), None)
        final = None if last is None else cut.one(last, example)[:, None]
        run(cut.rest, cut.operands(cut.tail(cut.x), inputs[:, -1:], states[:, -1:]), cut.tail(out), final)
    return True


def vjp(
    problem: Problem,
    operands: Operands,
    y: Signal,
    grad_y: Signal,
    last: Signal | None,
    needs: Needs,
    to_x: Signal | None,
    run: Vjp,
) -> Gradients | None:
    """Return the gradients, or None if they must run from sample to sample."""
    cuts = [_Cut(problem, operands, example) for example in range(problem.batch)]
    transitions = [cut.transition() for cut in cuts]
    if any(powers is None for powers in transitions):
        return None
    found: list[Gradients] = []
    for example, (cut, powers) in enumerate(zip(cuts, transitions, strict=True)):
        assert powers is not None
        grad = cut.one(grad_y, example)
        out = cut.one(y, example)
        inputs, outputs = cut.before(cut.x, cut.past_x, cut.q), cut.before(out, cut.past_y, cut.p)
        grad_x = None if to_x is None else cut.one(to_x, example)
        wants = Needs(needs.x, needs.feedforward, needs.feedback, cut.q > 0, cut.p > 0)
        final = None if last is None else cut.one(last, example)[:, None]
        rest = run(
            cut.rest, cut.operands(cut.tail(cut.x), inputs[:, -1:], outputs[:, -1:]), cut.tail(out), cut.tail(grad),
            final, wants, None if grad_x is None else cut.tail(grad_x),
        )  # fmt: skip
        here = cut.operands(cut.cut(cut.x), inputs[:, :-1], outputs[:, :-1])
        lasts = None
        if cut.p:
            alone = run(cut.problem, here, None, cut.cut(grad), None, Needs(False, False, False, False, True), None)
            # backwards in time, with the transposed transition
            steps = powers.conj().swapaxes(-1, -2)
            states = _scan(_given(alone.outputs)[:, ::-1], _given(rest.outputs)[:, 0], steps)[:, ::-1]
            lasts = np.ascontiguousarray(states[:, 1:]).astype(problem.state_dtype)
        cuts_x = None if grad_x is None else cut.cut(grad_x)
        main = run(cut.problem, here, cut.cut(out), cut.cut(grad), lasts, wants, cuts_x)
        sent = None if main.inputs is None else np.concatenate([main.inputs, rest.inputs], axis=1)
        if grad_x is not None and sent is not None:
            ends = np.arange(1, cut.count + 1)[:, None] * cut.size - cut.q + np.arange(cut.q)
            grad_x[:, ends] += sent[:, 1:]
        found.append(
            Gradients(
                None,
                _given(main.feedforward) + _given(rest.feedforward) if needs.feedforward else None,
                _given(main.feedback) + _given(rest.feedback) if needs.feedback else None,
                cut.one(sent[None, :, 0], 0) if needs.inputs and sent is not None else None,
                cut.one(_given(main.outputs)[None, :, 0], 0) if needs.outputs and cut.p else None,
            )
        )
    return Gradients(
        to_x,
        _gather([_given(each.feedforward) for each in found], problem.feedforward) if needs.feedforward else None,
        _gather([_given(each.feedback) for each in found], problem.feedback) if needs.feedback else None,
        _states([each.inputs for each in found], problem.input_order, problem) if needs.inputs else None,
        _states([each.outputs for each in found], problem.order, problem) if needs.outputs else None,
    )


def _given(gradient: Signal | None) -> Signal:
    assert gradient is not None
    return gradient


def _gather(gradients: list[Signal], taps: Taps | None) -> Signal:
    """Bring (channels, 1, 1, taps) of every example into the shape of the coefficients."""
    assert taps is not None
    stacked = np.stack([gradient[:, 0] for gradient in gradients])
    return stacked if taps.batch != 1 else stacked.sum(axis=0, keepdims=True)


def _states(gradients: list[Signal | None], depth: int, problem: Problem) -> Signal:
    if depth == 0:
        return np.zeros((problem.batch, problem.channels, 0), problem.y_dtype)
    return np.stack([gradient for gradient in gradients if gradient is not None])
