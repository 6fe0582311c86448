"""A run of the conformance suite: which checks there are for a backend here, and what each of them found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .checks import CHECKS, checked, checks_of
from .declarations import subjects_of, unchecked
from .subject import Subject, Tally

__all__ = ["CheckResult", "Planned", "check_backend", "nothing_checked", "planned"]


@dataclass(frozen=True)
class CheckResult:
    """One check of one backend with one array library.

    Attributes
    ----------
    name
        Such as ``"gradient_of_x (torch cpu)"``.
    ok
        Whether nothing that the backend computes was wrong, and it computes what it declares.
    detail
        How many problems were computed and how many refused, why; or the first failures.
    """

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class Planned:
    """A check that is to be run with the data types of one library.

    Attributes
    ----------
    name
        Such as ``"gradient_of_x (torch cpu)"``.
    check
        Its key in `CHECKS`.
    subjects
        One a data type.
    """

    name: str
    check: str
    subjects: tuple[Subject, ...]

    def run(self) -> CheckResult:
        """Run it."""
        tally = Tally()
        for subject in self.subjects:
            tally += checked(CHECKS[self.check], subject)
        return CheckResult(self.name, not tally.failures, str(tally))


QUICK = ("float32", "complex128")
"""Data types of the short form."""


def planned(name: str, quick: bool = False) -> list[Planned]:
    """Return the checks that `check_backend` runs, in order; none if nothing reaches the backend."""
    subjects = [subject for subject in subjects_of(name) if not quick or subject.dtype in QUICK]
    libraries = dict.fromkeys(subject.library.name for subject in subjects)
    found = (
        Planned(
            f"{check} ({library})",
            check,
            tuple(own for own in subjects if own.library.name == library and check in checks_of(own)),
        )
        for library in libraries
        for check in CHECKS
    )
    return [each for each in found if each.subjects]


def check_backend(
    name: str, progress: Callable[[int, int, str], None] | None = None, quick: bool = False
) -> list[CheckResult]:
    """Check a backend on this machine, with every array library and device that reaches it.

    A kind of coefficients that it declares and refuses throughout is a failure. What it declares and this machine
    cannot check, such as a device that is not here, is in `unchecked(name, subjects_of(name))`.

    Parameters
    ----------
    name
        A registered backend, of this package or of another one.
    progress
        Called with (done, total, name of the check) before each check, and once at the end.
    quick
        Whether float32 and complex128 are enough: for backends that compile for every type and size.

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
    plan = planned(name, quick)
    if not plan:
        return [nothing_checked(name)]
    results = []
    for done, each in enumerate(plan):
        if progress is not None:
            progress(done, len(plan), each.name)
        results.append(each.run())
    if progress is not None:
        progress(len(plan), len(plan), "")
    return results


def nothing_checked(name: str) -> CheckResult:
    """Return the failure of a backend that no check reaches."""
    rest = unchecked(name, subjects_of(name)) or ("its data types, of which the short form has none",)
    return CheckResult("declarations", False, f"nothing is checked: {', '.join(rest)}")
