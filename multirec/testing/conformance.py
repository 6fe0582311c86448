"""Conformance as tests: a plugin author subclasses `BackendConformance` and names the backend."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar

import pytest

from ..errors import MultirecError
from .checks import CHECKS, Subject, checked, checks_of, subjects_of, unchecked

__all__ = ["BackendConformance", "subjects"]

subjects = lru_cache(maxsize=64)(subjects_of)
"""`subjects_of`, remembered, so that what a subject computed is compared by every check."""


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

    def test_is_ready(self) -> None:
        """Raises, saying what to do, where the backend cannot be used."""
        found = subjects(self.backend)
        assert found, f"{self.backend} is ready, but nothing is checked: {', '.join(unchecked(self.backend, found))}"

    def test_conformance(self, subject: Subject, check: str) -> None:
        tally = checked(CHECKS[check], subject)
        assert not tally.failures, str(tally)

    def test_what_is_declared_is_checked(self) -> None:
        """Skips, naming the devices and data types, where this machine cannot check all of them."""
        rest = unchecked(self.backend, subjects(self.backend))
        if rest:
            pytest.skip(f"{self.backend}: not checked here: {', '.join(rest)}")
