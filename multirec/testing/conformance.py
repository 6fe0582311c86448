"""Conformance as tests: a plugin author subclasses `BackendConformance` and names the backend."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar

from .._registry.probe import status_of
from .._registry.registry import registry
from ..errors import MultirecError
from .checks import CHECKS, Subject, checked, checks_of, dtypes_of
from .libraries import libraries

__all__ = ["BackendConformance", "subjects"]


@lru_cache(maxsize=64)
def subjects(backend: str) -> tuple[Subject, ...]:
    """Return a backend as every array library, device and data type sees it; raise unless it is ready."""
    info = registry.info(backend)
    registry.kernel(info)
    return tuple(
        Subject(backend, library, dtype)
        for library in libraries(status_of(backend).devices, info.family)
        for dtype in dtypes_of(backend, library)
    )


def _id(subject: Subject) -> str:
    return f"{subject.library.name}-{subject.dtype}".replace(" ", "-")


class BackendConformance:
    """Every check of `multirec.testing.checks`, for every array library, device and data type that reaches a backend.

    Example
    -------
    In a test file of the plugin::

        from multirec.testing.conformance import BackendConformance

        class TestMine(BackendConformance):
            backend = "mine"
    """

    backend: ClassVar[str]

    def pytest_generate_tests(self, metafunc: Any) -> None:
        try:
            found = subjects(self.backend)
        except MultirecError:
            found = ()  # said once, by test_is_ready, and not while tests are collected
        if "check" in metafunc.fixturenames:
            pairs = [(subject, check) for subject in found for check in checks_of(subject)]
            metafunc.parametrize(
                ("subject", "check"), pairs, ids=[f"{check}-{_id(subject)}" for subject, check in pairs]
            )
        elif "subject" in metafunc.fixturenames:
            metafunc.parametrize("subject", found, ids=_id)

    def test_is_ready(self) -> None:
        """Raises, saying what to do, where the backend cannot be used."""
        assert subjects(self.backend), f"{self.backend} is ready, but no device or data type of it can be tested here"

    def test_conformance(self, subject: Subject, check: str) -> None:
        tally = checked(CHECKS[check], subject)
        assert not tally.failures, str(tally)

    def test_something_is_computed(self, subject: Subject) -> None:
        """A backend that refuses everything would pass the checks."""
        tally = CHECKS["values"](subject)
        assert tally.computed, f"everything is refused: {tally}"
