"""What of the conformance of backends is left to the slower checks."""

import pytest

SHORT = "float32"
"""The data type of the quick tests: kernels are compiled for each; tests/backends tries others with fewer problems."""

COMPILED = ("designed_filters", "frozen_operands", "wide_arithmetic")
"""Checks for which a compiler makes tens of kernels of its own; they are quick on the other backends."""


def pytest_collection_modifyitems(items):
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        subject = params.get("subject")
        if subject is None:
            continue
        if subject.dtype != SHORT or (subject.backend == "numba" and params["check"] in COMPILED):
            item.add_marker(pytest.mark.long)
