"""Backends that are wrong on purpose: the reference, with one fault each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from multirec.backend import BackendInfo
from multirec.reference import kernel as right


class Mutant:
    """Right until a method is overridden."""

    def forward(self, problem, operands, allocate):
        return right.forward(problem, operands, allocate)

    def vjp(self, problem, operands, y, grad_y, grad_last, needs, allocate):
        return right.vjp(problem, operands, y, grad_y, grad_last, needs, allocate)


class WrongSign(Mutant):
    def forward(self, problem, operands, allocate):
        negated = None if operands.feedback is None else -operands.feedback
        return right.forward(problem, operands._replace(feedback=negated), allocate)


class IgnoresReverse(Mutant):
    def forward(self, problem, operands, allocate):
        return right.forward(replace(problem, reverse=False), operands, allocate)

    def vjp(self, problem, *others):
        return right.vjp(replace(problem, reverse=False), *others)


class IgnoresPastOutputs(Mutant):
    def forward(self, problem, operands, allocate):
        return right.forward(problem, operands._replace(outputs=None), allocate)


class StateOffByOne(Mutant):
    def forward(self, problem, operands, allocate):
        past = None if operands.outputs is None else np.roll(operands.outputs, 1, axis=-1)
        return right.forward(problem, operands._replace(outputs=past), allocate)


class LeavesTheLastSample(Mutant):
    def forward(self, problem, operands, allocate):
        y = allocate(problem.channels, problem.y_dtype)
        y[..., :-1] = right.forward(problem, operands, allocate)[..., :-1]
        return y


class SharedGradientOfOneChannel(Mutant):
    def vjp(self, problem, *others):
        found = right.vjp(problem, *others)
        return found._replace(x=found.x / problem.channels) if problem.shared else found


class GradientWithoutLastOutputs(Mutant):
    def vjp(self, problem, operands, y, grad_y, grad_last, needs, allocate):
        return right.vjp(problem, operands, y, grad_y, None, needs, allocate)


class GradientOfStateIsLost(Mutant):
    def vjp(self, *arguments):
        found = right.vjp(*arguments)
        return found._replace(outputs=None if found.outputs is None else found.outputs * 0)


class FeedforwardGradientOfOneExample(Mutant):
    def vjp(self, problem, operands, y, grad_y, grad_last, needs, allocate):
        found = right.vjp(problem, operands, y, grad_y, grad_last, needs, allocate)
        if found.feedforward is None or not problem.batch:
            return found
        alone = np.array(grad_y)
        alone[1:] = 0
        return found._replace(
            feedforward=right.vjp(problem, operands, y, alone, grad_last, needs, allocate).feedforward
        )


class FeedbackGradientOffByOne(Mutant):
    def vjp(self, *arguments):
        found = right.vjp(*arguments)
        return found._replace(feedback=None if found.feedback is None else np.roll(found.feedback, 1, axis=-1))


class ReadsMemoryNotStrides(Mutant):
    def forward(self, problem, operands, allocate):
        x = operands.x
        if x.size and x.base is not None and x.strides != np.ascontiguousarray(x).strides:
            start = np.lib.stride_tricks.as_strided(x, x.shape, (0, 0, x.itemsize))
            return right.forward(problem, operands._replace(x=np.ascontiguousarray(start)), allocate)
        return right.forward(problem, operands, allocate)


class DropsTheImaginaryPart(Mutant):
    def forward(self, problem, operands, allocate):
        a = operands.feedback
        return right.forward(problem, operands._replace(feedback=None if a is None else a.real + 0 * a), allocate)


class ForgetsToConjugate(Mutant):
    def vjp(self, problem, operands, y, grad_y, grad_last, needs, allocate):
        b, a = (None if taps is None else taps.conj() for taps in operands[1:3])
        return right.vjp(problem, operands._replace(feedforward=b, feedback=a), y, grad_y, grad_last, needs, allocate)


class WritesToItsInput(Mutant):
    def forward(self, problem, operands, allocate):
        y = right.forward(problem, operands, allocate)
        if operands.x.flags.writeable and operands.x.size:
            operands.x[..., 0] = 0
        return y


class StopsAtTheFirstInfinity(Mutant):
    def forward(self, problem, operands, allocate):
        return np.nan_to_num(right.forward(problem, operands, allocate))


class IsDifferentEveryTime(Mutant):
    calls = 0

    def forward(self, problem, operands, allocate):
        IsDifferentEveryTime.calls += 1
        y = right.forward(problem, operands, allocate)
        return y * (1 + np.finfo(problem.compute_dtype).eps * (IsDifferentEveryTime.calls % 3))


class RefusesWithoutAReason(Mutant):
    pass


class RefusesEverything(Mutant):
    pass


class RefusesAKindThatItDeclares(Mutant):
    pass


class RefusesADataTypeThatItDeclares(Mutant):
    pass


class RefusesFloat64ThatItDeclares(Mutant):
    pass


class IsWrongAtTheOrderThatItDeclares(Mutant):
    """Computes one order alone, which no check asks for by itself."""

    def forward(self, problem, operands, allocate):
        return right.forward(problem, operands, allocate) * 2


class CutsFromZeroOutputs(Mutant):
    """Blocks run from zero outputs with their true inputs; what precedes them is added by superposition."""

    def forward(self, problem, operands, allocate):
        x, b, a, inputs, outputs = operands
        if problem.reverse or any(taps is None or taps.shape[2] != 1 for taps in (b, a)):
            return right.forward(problem, operands, allocate)
        y = allocate(problem.channels, problem.y_dtype)
        p, q = problem.order, problem.input_order
        past = np.zeros((*y.shape[:2], p), y.dtype) if outputs is None else outputs
        before = np.zeros((*x.shape[:2], q), x.dtype) if inputs is None else inputs
        whole = np.concatenate([before, x], -1)
        driven = sum(b[..., 0, j, None] * whole[..., q - j : q - j + problem.length] for j in range(q + 1))
        silence = np.zeros((*y.shape[:2], 16), y.dtype)
        answers = [_fed_back(silence, a, np.zeros_like(past) + unit) for unit in np.eye(p, dtype=y.dtype)]
        for start in range(0, problem.length, 16):
            block = driven[..., start : start + 16]
            from_past = sum(answers[k][..., : block.shape[-1]] * past[..., k, None] for k in range(p))
            y[..., start : start + 16] = _fed_back(block, a, np.zeros_like(past)) + from_past
            past = np.concatenate([past, y[..., start : start + 16]], -1)[..., -p:] if p else past
        return y


class RoundsItsState(Mutant):
    """Continues from y as it is stored, where past outputs are to be kept as they are computed."""

    def forward(self, problem, operands, allocate):
        found = right.forward(problem, operands, allocate)
        if not isinstance(found, tuple):
            return found
        y, last = found
        return y, last.astype(y.dtype).astype(last.dtype)


class ComputesYAgain(Mutant):
    """Looks at x for the gradient of feedback, where y is what is given."""

    def vjp(self, problem, operands, y, grad_y, grad_last, needs, allocate):
        y = right.forward(problem, operands, allocate) if needs.feedback else y
        return right.vjp(problem, operands, y, grad_y, grad_last, needs, allocate)


class IsWrongFromChannel64(Mutant):
    def forward(self, problem, operands, allocate):
        return _spoilt(right.forward(problem, operands, allocate), np.s_[:, 64:], 1.01)


class LosesExamplesFrom16(Mutant):
    def forward(self, problem, operands, allocate):
        return _spoilt(right.forward(problem, operands, allocate), np.s_[16:], 0)


class IsWrongFromSample3500(Mutant):
    def forward(self, problem, operands, allocate):
        return _spoilt(right.forward(problem, operands, allocate), np.s_[..., 3500:], 1.001)


class LosesChannel101Of128(Mutant):
    def forward(self, problem, operands, allocate):
        y = right.forward(problem, operands, allocate)
        return _spoilt(y, np.s_[:, 101], 0) if problem.channels == 128 else y


class IsStaleAfterThreeCalls(Mutant):
    """Remembers its results by the problem's description, and returns the third from then on."""

    def __init__(self):
        self.calls, self.third = {}, {}

    def forward(self, problem, operands, allocate):
        calls = self.calls[problem] = self.calls.get(problem, 0) + 1
        if calls <= 3:
            self.third[problem] = right.forward(problem, operands, allocate)
        return self.third[problem]


class WritesWhereItWroteBefore(Mutant):
    """Keeps memory for a problem's results, also while a caller still has them."""

    def __init__(self):
        self.memory = {}

    def forward(self, problem, operands, allocate):
        found = right.forward(problem, operands, allocate)
        y, *rest = found if isinstance(found, tuple) else (found,)
        kept = self.memory.setdefault(problem, y)
        kept[...] = y
        return (kept, *rest) if rest else kept


def _spoilt(found, part, factor):
    """Multiply a part of y, as a kernel gives it."""
    y = found[0] if isinstance(found, tuple) else found
    y[part] *= y.dtype.type(factor)
    return found


def _fed_back(driven, a, past):
    p = past.shape[-1]
    y = np.concatenate([past, driven + np.zeros_like(past[..., :1])], -1) if p else driven
    for t in range(p, y.shape[-1]):
        for k in range(1, p + 1):
            y[..., t] += a[..., 0, k - 1] * y[..., t - k]
    return y[..., p:]


MUTANTS = {cls.__name__: cls() for cls in Mutant.__subclasses__()}
globals().update({f"{name}_kernel": kernel for name, kernel in MUTANTS.items()})


def _has_examples(problem):
    return any(taps is not None and taps.kind == "per_example" for taps in (problem.feedforward, problem.feedback))


DECLINES = {
    "RefusesWithoutAReason": lambda problem: " ",
    "RefusesEverything": lambda problem: "whatever it is",
    "RefusesAKindThatItDeclares": lambda problem: "coefficients of each example" if _has_examples(problem) else None,
    "RefusesADataTypeThatItDeclares": lambda problem: "complex numbers" if problem.is_complex else None,
    "RefusesFloat64ThatItDeclares": lambda problem: "float64" if problem.wide else None,
}


def info_of(name: str) -> BackendInfo:
    orders = {"min_order": 12, "max_order": 12} if name == "IsWrongAtTheOrderThatItDeclares" else {}
    return BackendInfo(
        name=f"mutant_{name.lower()}",
        summary="wrong on purpose",
        kernel=f"{__name__}:{name}_kernel",
        family="numpy",
        promise="bitwise",
        wide=True,
        decline=DECLINES.get(name, lambda problem: None),
        **orders,
    )
