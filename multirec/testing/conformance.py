"""Conformance as tests: a plugin author subclasses `BackendConformance` and names the backend."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar

import pytest

from .. import _registry
from ..errors import MultirecError
from .checks import CHECKS, Subject, checked, dtypes_of
from .libraries import libraries

__all__ = ["BackendConformance"]


class BackendConformance:
    """Every check of `multirec.testing.checks`, for every array library, device and data type that reaches a backend.

    Example
    -------
    In a test file of the plugin::

        from multirec.testing.conformance import BackendConformance

        class TestMyBackend(BackendConformance):
            backend = "mine"
    """

    backend: ClassVar[str]

    def test_conformance(self, subject: Subject, check: str) -> None:
        tally = checked(CHECKS[check], subject)
        assert not tally.failures, str(tally)

    def test_something_is_computed(self) -> None:
        """A backend that refuses everything passes every check; this one it does not."""
        computed = {
            subject.dtype: tally.computed for subject in _subjects(self.backend) for tally in [CHECKS["values"](subject)]
        }
        assert computed and all(computed.values()), f"of each data type, {self.backend} computed {computed} problems"


def pytest_generate_tests(metafunc: Any) -> None:
    """Give each conformance class its subjects and checks; imported by `multirec.testing.plugin`."""
