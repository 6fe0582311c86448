"""A backend under test: what it computes of a case, compared once with everything that is expected of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from .._registry.registry import registry
from ..errors import UnsupportedError
from ._where import axes_of
from .asserts import mismatch, poisoned
from .library import Library, Run
from .oracle import expected
from .problems import Case, arguments

__all__ = ["Outcome", "Subject", "Tally", "is_computed", "note", "tally_of"]


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
class Outcome:
    """What became of one case: the reason of a refusal, or what is wrong with each result by name."""

    refused: str = ""
    wrong: dict[str, str] = field(default_factory=dict)

    @property
    def computed(self) -> bool:
        """Whether the backend did not refuse, with or without a reason."""
        return not self.refused and "refusals" not in self.wrong


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
        self.info = registry.info(backend)
        self._outcomes: dict[tuple[Case, bool], Outcome] = {}

    def fitted(self, case: Case) -> Case:
        """Return a case with the nearest order that the backend declares."""
        low, high = self.info.min_order, self.info.max_order
        order = max(low, case.order if high is None else min(case.order, high))
        # poles of high orders are kept where rounding does not spoil them
        return case if order == case.order else replace(case, order=order, radius=min(case.radius, 0.7))

    def outcome(self, case: Case, gradients: bool) -> Outcome:
        """Compute a case in poisoned memory and compare everything with what is expected."""
        key = (case, gradients)
        if key not in self._outcomes:
            self._outcomes[key] = self.refusal(case) or self._compared(case, gradients)
        return self._outcomes[key]

    def refusal(self, case: Case) -> Outcome | None:
        """Ask whether the backend refuses; if so, it must say why, and raise the same when it is called."""
        operands = self.library.operands(case, arguments(case))
        support = self.library.explain(case, operands).candidates[self.backend]
        if support.ok:
            return None
        if not support.reason.strip():
            return Outcome(wrong={"refusals": f"{case}: refused without a reason"})
        try:
            self.library.call(case, self.backend, operands)
        except UnsupportedError as error:
            if support.reason in str(error):
                return Outcome(refused=support.reason)
            return Outcome(wrong={"refusals": f"{case}: refused for {support.reason!r}, but the error says: {error}"})
        return Outcome(wrong={"refusals": f"{case}: refused for {support.reason!r}, but computed when asked by name"})

    def _compared(self, case: Case, gradients: bool) -> Outcome:
        try:
            with poisoned():
                run = self.library.run(case, self.backend, gradients)
        except Exception as error:
            return Outcome(wrong={"error": f"{case}: {type(error).__name__}: {error}"})
        return Outcome(wrong={name: f"{case}: {message}" for name, message in _mistakes(case, run, gradients)})


def _mistakes(case: Case, run: Run, gradients: bool) -> Iterator[tuple[str, str]]:
    yield from run.faults.items()
    want = expected(case)
    for name, value in want.values.items():
        if name.startswith("gradient") and not gradients:
            continue
        if name not in run.values:
            yield name, f"{name} is missing"
        elif name not in run.faults:
            message = mismatch(name, run.values[name], value, want.bounds[name], axes_of(case, name))
            if message:
                yield name, message


def tally_of(subject: Subject, cases: Iterable[Case], names: tuple[str, ...] | None, gradients: bool) -> Tally:
    """Count a check's cases, of orders that the backend declares; `names` are the results it looks at, None for all."""
    tally = Tally()
    for case in map(subject.fitted, cases):
        outcome = subject.outcome(case, gradients)
        if outcome.refused:
            tally.refused[outcome.refused] += 1
            continue
        tally.computed += outcome.computed
        looked_at = outcome.wrong if names is None else (*names, "error")
        tally.failures += [outcome.wrong[name] for name in looked_at if name in outcome.wrong]
    return tally


def is_computed(subject: Subject, case: Case, tally: Tally) -> bool:
    """Count a case that a check computes itself; False if it is refused."""
    refusal = subject.refusal(case)
    if refusal is None:
        tally.computed += 1
        return True
    if refusal.refused:
        tally.refused[refusal.refused] += 1
    tally.failures += refusal.wrong.values()
    return False


def note(tally: Tally, case: Case, message: str | None) -> None:
    """Count a failure, if there is a message."""
    if message:
        tally.failures.append(f"{case}: {message}")
