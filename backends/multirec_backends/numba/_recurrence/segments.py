"""Few long signals: time is cut into segments that run side by side, like channels.

Every segment runs once from zero state, for its end alone. The true states follow from a scan over segments, and
a second run from them gives the result (`carries`, which also checks them). The gradient goes the same way
backwards: what a segment's past outputs receive is the `grad_last` of the segment before. The samples that do not
fill a segment come last, on their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from multirec.backend import HALF_DTYPES, Gradients, Needs, Operands, Problem, Taps

from .carries import Carries

Signal = npt.NDArray[Any]
Forward = Callable[[Problem, Operands, Signal | None, Signal | None], None]
Vjp = Callable[[Problem, Operands, Any, Signal, Signal | None, Needs, Signal | None], Gradients]

_FEW, _LONG, _SEGMENT, _LANES, _ORDER = 8, 1 << 14, 512, 512, 32
"""At most so many signals, at least so many samples; segments of at least so many, on so many lanes; orders to this."""


def worthwhile(problem: Problem) -> bool:
    """Say whether the shape asks for segments."""
    return (
        problem.length >= _LONG
        and problem.batch * problem.channels <= _FEW
        and max(problem.order, problem.input_order) <= _ORDER
        and not problem.time_varying
        and problem.dtype not in HALF_DTYPES
        and problem.y_dtype not in HALF_DTYPES
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
        return np.concatenate([past[:, None], signal[:, self.last(depth)]], axis=1)

    def last(self, depth: int) -> Signal:
        """Return where the last `depth` samples of every segment are (segments, depth)."""
        return np.arange(1, self.count + 1)[:, None] * self.size - depth + np.arange(depth)

    def operands(self, x: Signal, inputs: Signal, outputs: Signal | None) -> Operands:
        return Operands(x, self.b, self.a, inputs, outputs)

    def carries(self, adjoint: bool) -> Carries | None:
        """Return what carries states over segments; None where there is nothing to carry."""
        if self.a is None or not self.p:
            return None
        eps = float(np.finfo(self.problem.compute_dtype).eps)
        return Carries(self.a[:, 0, 0], self.size, self.count, eps, adjoint)

    def _filters(self, taps: Signal | None, example: int) -> Signal | None:
        if taps is None:
            return None
        one: Signal = taps[min(example, taps.shape[0] - 1)]
        return one[:, None]

    def _state(self, state: Signal | None, example: int, shape: tuple[int, int], dtype: str) -> Signal:
        return np.zeros(shape, dtype) if state is None else np.broadcast_to(self.one(state, example), shape)


def _taps(array: Signal | None, taps: Taps | None) -> Taps | None:
    return None if array is None or taps is None else replace(taps, batch=array.shape[0], channels=1)


def forward(problem: Problem, operands: Operands, y: Signal, last: Signal | None, run: Forward) -> bool:
    """Fill y, and `last` if given, and return True, or return False if it must run from sample to sample."""
    cuts = [_Cut(problem, operands, example) for example in range(problem.batch)]
    carries = [cut.carries(adjoint=False) for cut in cuts]
    if not all(each.trusted for each in carries if each is not None):
        return False
    finals = [None if last is None else cut.one(last, i)[:, None] for i, cut in enumerate(cuts)]
    return all(_forward(cut, carries[i], cut.one(y, i), finals[i], run) for i, cut in enumerate(cuts))


def _forward(cut: _Cut, carries: Carries | None, out: Signal, final: Signal | None, run: Forward) -> bool:
    x, inputs = cut.cut(cut.x), cut.before(cut.x, cut.past_x, cut.q)

    def segments(y: Signal | None, starts: Signal | None) -> Signal:
        ends = np.empty((len(out), cut.count, cut.p), cut.problem.state_dtype)
        run(cut.problem, cut.operands(x, inputs[:, :-1], starts), y, ends)
        return ends

    if carries is None:
        ends = segments(cut.cut(out), None)
    else:
        settled = carries.settle(cut.past_y, segments(None, None), lambda starts: segments(cut.cut(out), starts))
        if settled is None:
            return False
        ends = settled.ends
    run(cut.rest, cut.operands(cut.tail(cut.x), inputs[:, -1:], ends[:, -1:]), cut.tail(out), final)
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
    if problem.wide:
        # in float64 throughout: sums for x's gradient, where segments meet, stay unrounded
        same = replace(problem, dtype=_unrounded(problem.dtype), y_dtype=_unrounded(problem.y_dtype))
        x, inputs = (None if part is None else part.astype(same.dtype) for part in (operands.x, operands.inputs))
        to = None if to_x is None else np.empty(to_x.shape, same.dtype)
        signals = operands._replace(x=x, inputs=inputs), y.astype(same.y_dtype), grad_y.astype(same.y_dtype)
        wide = vjp(same, *signals, last, needs, to, run)
        if wide is None or to_x is None:
            return wide
        with np.errstate(all="ignore"):
            to_x[...] = to
        return wide._replace(x=to_x)
    cuts = [_Cut(problem, operands, example) for example in range(problem.batch)]
    carries = [cut.carries(adjoint=True) for cut in cuts]
    if not all(each.trusted for each in carries if each is not None):
        return None
    found: list[Gradients] = []
    for i, (cut, own) in enumerate(zip(cuts, carries, strict=True)):
        final = None if last is None else cut.one(last, i)[:, None]
        grad_x = None if to_x is None else cut.one(to_x, i)
        gradients = _vjp(cut, own, cut.one(y, i), cut.one(grad_y, i), final, needs, grad_x, run)
        if gradients is None:
            return None
        found.append(gradients)
    return Gradients(
        to_x,
        _gather([_given(each.feedforward) for each in found], problem.feedforward) if needs.feedforward else None,
        _gather([_given(each.feedback) for each in found], problem.feedback) if needs.feedback else None,
        np.concatenate([_given(each.inputs) for each in found]) if needs.inputs else None,
        np.concatenate([_given(each.outputs) for each in found]) if needs.outputs else None,
    )


def _unrounded(dtype: str) -> str:
    return str(np.result_type(dtype, np.float64))


def _vjp(
    cut: _Cut,
    carries: Carries | None,
    y: Signal,
    grad: Signal,
    last: Signal | None,
    needs: Needs,
    grad_x: Signal | None,
    run: Vjp,
) -> Gradients | None:
    """Return the gradients of one example (its coefficients' without the example's axis); of x, to `grad_x`."""
    p, q = cut.p, cut.q
    inputs, outputs = cut.before(cut.x, cut.past_x, q), cut.before(y, cut.past_y, p)
    wants = Needs(needs.x, needs.feedforward, needs.feedback, q > 0, p > 0)
    rest = run(
        cut.rest, cut.operands(cut.tail(cut.x), inputs[:, -1:], outputs[:, -1:]), cut.tail(y), cut.tail(grad),
        last, wants, None if grad_x is None else cut.tail(grad_x),
    )  # fmt: skip
    here = cut.operands(cut.cut(cut.x), inputs[:, :-1], outputs[:, :-1])

    def segments(lasts: Signal | None, wants: Needs) -> Gradients:
        to_x = None if grad_x is None or not wants.x else cut.cut(grad_x)
        return run(cut.problem, here, cut.cut(y), cut.cut(grad), lasts, wants, to_x)

    settled = None
    if carries is None:
        main = segments(None, wants)
    else:
        # what segments hand on here, they hand on to the segment before
        def backwards(starts: Signal) -> Signal:
            nonlocal main
            main = segments(np.ascontiguousarray(starts[:, ::-1]), wants)
            return _given(main.outputs)[:, ::-1]

        main = segments(None, Needs(False, False, False, False, True))
        settled = carries.settle(_given(rest.outputs)[:, 0], _given(main.outputs)[:, ::-1], backwards)
        if settled is None:
            return None
    to_inputs = np.zeros((len(y), q), y.dtype)
    if q:
        sent = np.concatenate([_given(main.inputs), _given(rest.inputs)], axis=1)
        to_inputs = sent[:, 0]
        if grad_x is not None:
            if settled is not None:
                assert carries is not None
                assert cut.b is not None
                # the zeros of a filter cancel its poles in x's gradient only where these go on without a jump
                jumps = settled.jumps[:, ::-1]
                correction = carries.response(jumps, cut.b[:, 0, 0].conj())
                sent[:, 1:-1] += correction if np.iscomplexobj(sent) else correction.real
            grad_x[:, cut.last(q)] += sent[:, 1:]
    to_outputs = _given(main.outputs)[:, 0] if p else np.zeros((len(y), 0), y.dtype)
    return Gradients(
        None,
        _given(main.feedforward) + _given(rest.feedforward) if needs.feedforward else None,
        _given(main.feedback) + _given(rest.feedback) if needs.feedback else None,
        cut.one(to_inputs[None], 0)[None],
        cut.one(to_outputs[None], 0)[None],
    )


def _given(gradient: Signal | None) -> Signal:
    assert gradient is not None
    return gradient


def _gather(gradients: list[Signal], taps: Taps | None) -> Signal:
    """Bring (channels, 1, 1, taps) of every example into the shape of the coefficients."""
    assert taps is not None
    stacked = np.stack([gradient[:, 0] for gradient in gradients])
    return stacked if taps.batch != 1 else stacked.sum(axis=0, keepdims=True)
