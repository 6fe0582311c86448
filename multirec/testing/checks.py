"""Conformance: what every backend must do, one law a check, as plain functions.

A check takes a `Subject` (a backend, an array library on a device, a data type of x) and returns a `Tally`. What a
backend refuses is counted, with its reason; what it computes must be right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from .. import _registry, _threads
from .._function import explain
from .._state import State
from ..backend import COMPLEX_DTYPES, REAL_DTYPES
from ..errors import MultirecError, UnsupportedError
from .asserts import mismatch, poisoned
from .cover import edge_cases, memory_cases, pair_cases, product_cases
from .libraries import Library, Run, libraries
from .oracle import expected
from .problems import Arguments, Case, Wide, arguments, from_canonical, to_canonical

__all__ = ["CHECKS", "CheckResult", "Subject", "Tally", "check_backend", "checks_of", "dtypes_of"]


@dataclass(frozen=True)
class CheckResult:
    """One check of one backend with one array library.

    Attributes
    ----------
    name
        Such as ``"gradient_of_x (torch cpu)"``.
    ok
        Whether nothing that the backend computes was wrong.
    detail
        How many problems were computed and how many refused, why; or the first failures.
    """

    name: str
    ok: bool
    detail: str


@dataclass
class Tally:
    """What a check found."""

    computed: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def __iadd__(self, other: Tally) -> Tally:
        self.computed += other.computed
        self.refused += other.refused
        self.failures += other.failures
        return self

    def __str__(self) -> str:
        refused = "".join(f"; {count} refused: {reason}" for reason, count in self.refused.items())
        if not self.failures:
            return f"{self.computed} problems{refused}"
        more = len(self.failures) - 3
        shown = [*self.failures[:3], *([f"and {more} more"] if more > 0 else [])]
        return f"{len(self.failures)} failures in {self.computed} problems{refused}:\n" + "\n".join(shown)


@dataclass(frozen=True)
class _Outcome:
    refused: str = ""
    wrong: dict[str, str] = field(default_factory=dict)


class Subject:
    """A backend as one array library sees it, with one data type of x. Remembers what it computed.

    Parameters
    ----------
    backend
        A registered name.
    library
        One of `multirec.testing.libraries.libraries`.
    dtype
        Of x.
    """

    def __init__(self, backend: str, library: Library, dtype: str) -> None:
        self.backend = backend
        self.library = library
        self.dtype = dtype
        self.promise: str = _registry.registry.info(backend).promise
        self._outcomes: dict[tuple[Case, bool], _Outcome] = {}

    def outcome(self, case: Case, gradients: bool) -> _Outcome:
        """Compute a case in poisoned memory and compare everything with what is expected."""
        key = (case, gradients)
        if key not in self._outcomes:
            self._outcomes[key] = self._refusal(case) or self._compared(case, gradients)
        return self._outcomes[key]

    def _refusal(self, case: Case) -> _Outcome | None:
        """Ask whether the backend refuses; if so, it must say why, and raise the same when it is called."""
        operands = self.library.operands(case, arguments(case))
        x, feedforward, feedback, inputs, outputs = operands
        state = State(inputs, outputs)
        found = explain(
            x, feedforward=feedforward, feedback=feedback, state=state, layout=case.layout, reverse=case.reverse
        )
        support = found.candidates[self.backend]
        if support.ok:
            return None
        if not support.reason.strip():
            return _Outcome(wrong={"refusals": f"{case}: refused without a reason"})
        try:
            self.library.call(case, self.backend, operands)
        except UnsupportedError as error:
            if support.reason in str(error):
                return _Outcome(refused=support.reason)
            return _Outcome(wrong={"refusals": f"{case}: refused for {support.reason!r}, but the error says: {error}"})
        return _Outcome(wrong={"refusals": f"{case}: refused for {support.reason!r}, but computed when asked by name"})

    def _compared(self, case: Case, gradients: bool) -> _Outcome:
        try:
            with poisoned():
                run = self.library.run(case, self.backend, gradients)
        except Exception as error:
            return _Outcome(wrong={"error": f"{case}: {type(error).__name__}: {error}"})
        return _Outcome(wrong={name: f"{case}: {message}" for name, message in _mistakes(case, run, gradients)})


def _mistakes(case: Case, run: Run, gradients: bool) -> Iterator[tuple[str, str]]:
    yield from run.faults.items()
    want = expected(case)
    for name, value in want.values.items():
        if name.startswith("gradient") and not gradients:
            continue
        if name not in run.values:
            yield name, f"{name} is missing"
        elif name not in run.faults:
            message = mismatch(name, run.values[name], value, want.bounds[name])
            if message:
                yield name, message


Check: TypeAlias = Callable[[Subject], Tally]


def _tally(subject: Subject, cases: Iterable[Case], names: tuple[str, ...] | None, gradients: bool) -> Tally:
    """Count a check's cases; `names` are the results that it looks at, None for all."""
    tally = Tally()
    for case in cases:
        outcome = subject.outcome(case, gradients)
        if outcome.refused:
            tally.refused[outcome.refused] += 1
            continue
        tally.computed += 1
        looked_at = outcome.wrong if names is None else (*names, "error")
        tally.failures += [outcome.wrong[name] for name in looked_at if name in outcome.wrong]
    return tally


def _pairs(subject: Subject) -> list[Case]:
    return [case for case in pair_cases() if case.dtype == subject.dtype]


def values_of_every_combination(subject: Subject) -> Tally:
    """Values agree in float64 for the full product of layout, kinds, shared input, state and direction."""
    return _tally(subject, product_cases(), ("y", "state.inputs", "state.outputs", "contiguous", "inputs"), False)


def values(subject: Subject) -> Tally:
    """Values agree for every pair of choices."""
    return _tally(subject, _pairs(subject), ("y", "contiguous"), True)


def returned_state(subject: Subject) -> Tally:
    """The returned state is the last inputs and outputs."""
    return _tally(subject, _pairs(subject), ("state.inputs", "state.outputs"), True)


def gradient_of_x(subject: Subject) -> Tally:
    """The gradient of x agrees, summed over the channels of a shared input."""
    return _tally(subject, _pairs(subject), ("gradient of x",), True)


def gradient_of_feedforward(subject: Subject) -> Tally:
    """The gradient of feedforward agrees, summed over the axes along which it does not vary."""
    return _tally(subject, _pairs(subject), ("gradient of feedforward",), True)


def gradient_of_feedback(subject: Subject) -> Tally:
    """The gradient of feedback agrees, summed over the axes along which it does not vary."""
    return _tally(subject, _pairs(subject), ("gradient of feedback",), True)


def gradient_of_state(subject: Subject) -> Tally:
    """The gradient of both parts of the state agrees."""
    return _tally(subject, _pairs(subject), ("gradient of state.inputs", "gradient of state.outputs"), True)


def edge_sizes(subject: Subject) -> Tally:
    """Nothing, one of everything, and blocks shorter than the order: values and gradients agree."""
    return _tally(subject, edge_cases(subject.dtype), None, True)


def memory(subject: Subject) -> Tally:
    """Strided, flipped, expanded, read-only and conjugated inputs are read right and never written to."""
    return _tally(subject, memory_cases(subject.dtype), None, True)


def refusals(subject: Subject) -> Tally:
    """What is refused is refused with a reason, by `explain` and by an error alike."""
    cases = (*_pairs(subject), *edge_cases(subject.dtype), *memory_cases(subject.dtype))
    tally = _tally(subject, cases, (), True)
    tally.failures = [
        outcome.wrong["refusals"] for case in cases if "refusals" in (outcome := subject.outcome(case, True)).wrong
    ]
    return tally


def resuming(subject: Subject) -> Tally:
    """A call continued with the returned state gives what one call on the whole gives."""
    tally = Tally()
    for layout, reverse, shared, cuts in (
        ("BCT", False, False, (5,)),
        ("BTC", True, True, (1, 12)),
        ("TBC", False, True, tuple(range(1, 13))),
        ("BCT", True, False, tuple(range(1, 13))),
    ):
        case = Case(dtype=subject.dtype, layout=layout, reverse=reverse, shared=shared)  # type: ignore[arg-type]
        if not _is_computed(subject, case, tally):
            continue
        given = arguments(case)
        want = expected(case)
        edges = [0, *cuts, case.length]
        blocks = list(pairwise(edges))
        x = to_canonical(given.x, layout)  # type: ignore[arg-type]
        operands = subject.library.operands(case, given)
        parts = []
        for start, stop in reversed(blocks) if reverse else blocks:
            operands[0] = subject.library.put(from_canonical(x[..., start:stop], case.layout), case.dtype)
            with poisoned():
                y, state = subject.library.call(case, subject.backend, operands)
            operands[3:] = state
            parts.append(to_canonical(subject.library.get(y), case.layout))
        whole = from_canonical(np.concatenate(parts[::-1] if reverse else parts, -1), case.layout)
        _note(tally, case, mismatch(f"y cut at {cuts}", whole, want.values["y"], want.bounds["y"]))
        for name, part in zip(("state.inputs", "state.outputs"), state, strict=True):
            _note(tally, case, mismatch(name, subject.library.get(part), want.values[name], want.bounds[name]))
    return tally


def unstable_filters(subject: Subject) -> Tally:
    """An unstable channel is right until its values leave the range, then never finite again; others are untouched."""
    tally = Tally()
    limit = 1e30 if subject.dtype == "float32" else 1e300
    for order, growth in ((1, 4.0), (2, 1.7)):
        length = int(np.log(limit) / np.log(growth) * 1.4)
        case = Case(dtype=subject.dtype, order=order, feedforward="none", state="none", length=length, radius=0.5)
        given = arguments(case)
        assert given.feedback is not None
        feedback = given.feedback.copy()
        feedback[1] = [growth] if order == 1 else [growth + 0.5, -growth * 0.5]
        _check_spoilt(subject, case, given._replace(feedback=feedback), limit, tally)
    return tally


def non_finite_inputs(subject: Subject) -> Tally:
    """A NaN or infinity in x spoils its own channel from its sample on, and nothing else."""
    tally = Tally()
    for value in (np.nan, np.inf):
        case = Case(dtype=subject.dtype, feedforward="none", state="none", length=150, radius=0.5)
        given = arguments(case)
        x = given.x.copy()
        x[0, 1, 77] = value
        _check_spoilt(subject, case, given._replace(x=x), 1e30, tally)
    return tally


def _check_spoilt(subject: Subject, case: Case, given: Arguments, limit: float, tally: Tally) -> None:
    if not _is_computed(subject, case, tally):
        return
    library = subject.library
    with poisoned(), np.errstate(all="ignore"):
        got = library.get(library.call(case, subject.backend, library.operands(case, given))[0])
    want, bound = _forward_only(case, given)
    for index in np.ndindex(want.shape[:2]):
        left = np.flatnonzero(~(np.abs(want[index]) <= limit))
        stop = int(left[0]) if left.size else case.length
        _note(
            tally,
            case,
            mismatch(
                f"y[{index}] before it leaves the range", got[index][:stop], want[index][:stop], bound[index][:stop]
            ),
        )
        after = got[index][stop:]
        plausible = np.flatnonzero(np.abs(after) < limit / 2)
        if plausible.size:
            _note(
                tally, case, f"y[{index}] looks finite at sample {stop + plausible[0]}, having left the range at {stop}"
            )
        finite = np.isfinite(after)
        lost = int(np.argmin(finite)) if not finite.all() else finite.size
        if finite[lost:].any():
            _note(tally, case, f"y[{index}] is finite again after sample {stop + lost}, where it was not")


def _forward_only(case: Case, given: Arguments) -> tuple[Wide, Wide]:
    """Return y of a static feedback in float64, and the errors that sequential rounding may have made."""
    assert given.feedback is not None
    y = np.zeros(given.x.shape)
    with np.errstate(all="ignore"):
        for t in range(case.length):
            y[..., t] = given.x[..., t]
            for k in range(1, min(case.order, t) + 1):
                y[..., t] += given.feedback[:, k - 1] * y[..., t - k]
        unit = 2.0**-24 if case.dtype == "float32" else 2.0**-53
        largest = np.maximum.accumulate(np.abs(np.nan_to_num(y, nan=0, posinf=0, neginf=0)), -1)
    steps: Wide = np.arange(1, case.length + 1)
    return y, 16 * (case.order + 1) * unit * steps * (largest + 1)


def repeatability(subject: Subject) -> Tally:
    """A backend that promises it gives the same bits at every call, whatever the number of threads."""
    tally = Tally()
    before = _threads.num_threads()
    for case in (
        Case(dtype=subject.dtype, channels=17, length=300, batch=(5,), shared=True),
        Case(dtype=subject.dtype, channels=1, length=700, batch=(), ones=("channels",)),
        Case(dtype=subject.dtype, channels=5, length=90, layout="TBC", feedback="per_example", reverse=True),
    ):
        if not _is_computed(subject, case, tally):
            continue
        runs = []
        try:
            for threads in (before, 1, 2, 2):
                _threads.set_num_threads(threads)
                with poisoned():
                    runs.append(subject.library.run(case, subject.backend))
        finally:
            _threads.set_num_threads(before)
        for name, first in runs[0].values.items():
            if any(not np.array_equal(first, run.values[name], equal_nan=True) for run in runs[1:]):
                _note(tally, case, f"{name} differs from call to call, or with the number of threads")
    return tally


def _is_computed(subject: Subject, case: Case, tally: Tally) -> bool:
    """Count a case that a check computes itself; False if it is refused."""
    refusal = subject._refusal(case)
    if refusal is None:
        tally.computed += 1
        return True
    if refusal.refused:
        tally.refused[refusal.refused] += 1
    tally.failures += refusal.wrong.values()
    return False


def _note(tally: Tally, case: Case, message: str | None) -> None:
    if message:
        tally.failures.append(f"{case}: {message}")


CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        values_of_every_combination,
        values,
        returned_state,
        gradient_of_x,
        gradient_of_feedforward,
        gradient_of_feedback,
        gradient_of_state,
        edge_sizes,
        memory,
        resuming,
        unstable_filters,
        non_finite_inputs,
        repeatability,
        refusals,
    )
}
"""Every check by name."""

_ONLY = {
    # the other data types have the pairs
    "values_of_every_combination": ("float64",),
    # a half type rounds the state that it is resumed from
    "resuming": REAL_DTYPES + COMPLEX_DTYPES,
    "unstable_filters": REAL_DTYPES,
    "non_finite_inputs": REAL_DTYPES,
}


def checks_of(subject: Subject) -> list[str]:
    """Return the names of the checks that ask something of a subject."""
    return [
        name
        for name in CHECKS
        if subject.dtype in _ONLY.get(name, (subject.dtype,))
        and (name != "repeatability" or subject.promise == "bitwise")
    ]


def dtypes_of(backend: str, library: Library) -> tuple[str, ...]:
    """Return the data types that both a backend and a library have."""
    own = _registry.registry.info(backend).dtypes
    return tuple(dtype for dtype in library.dtypes if dtype in own)


def checked(check: Check, subject: Subject) -> Tally:
    """Run a check; an error that it does not expect is a failure."""
    try:
        return check(subject)
    except (MultirecError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        return Tally(failures=[f"{type(error).__name__}: {error}"])


def check_backend(name: str, progress: Callable[[int, int, str], None] | None = None) -> list[CheckResult]:
    """Check a backend on this machine, with every array library and device that reaches it.

    Parameters
    ----------
    name
        A registered backend, of this package or of another one.
    progress
        Called with (done, total, name of the check) before each check, and once at the end.

    Raises
    ------
    UnknownBackendError, BackendMissingError, BackendBrokenError
        The backend cannot be used here.

    Example
    -------
    >>> results = check_backend("reference")  # doctest: +SKIP
    >>> all(result.ok for result in results)  # doctest: +SKIP
    True
    """
    info = _registry.registry.info(name)
    _registry.registry.kernel(info)
    devices = _registry.registry.status(name).devices
    plan = [(library, check) for library in libraries(devices) for check in CHECKS]
    subjects = {
        library.name: [Subject(name, library, dtype) for dtype in dtypes_of(name, library)]
        for library in {id(library): library for library, _ in plan}.values()
    }
    results = []
    for done, (library, check) in enumerate(plan):
        label = f"{check} ({library.name})"
        if progress is not None:
            progress(done, len(plan), label)
        tally = Tally()
        for subject in subjects[library.name]:
            if check in checks_of(subject):
                tally += checked(CHECKS[check], subject)
        results.append(CheckResult(label, not tally.failures, str(tally)))
    if progress is not None:
        progress(len(plan), len(plan), "")
    return results
