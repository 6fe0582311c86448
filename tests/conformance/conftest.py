"""What of the conformance of backends is left to the slower checks."""

import pytest

SHORT = ("float32", "complex128")
"""Data types of the quick tests: kernels are compiled for each; tests/backends tries the others with fewer problems."""


def pytest_collection_modifyitems(items):
    for item in items:
        subject = getattr(item, "callspec", None) and item.callspec.params.get("subject")
        if subject is not None and subject.dtype not in SHORT:
            item.add_marker(pytest.mark.long)
