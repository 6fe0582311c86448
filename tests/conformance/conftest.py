"""What of the conformance of backends is left to the slower checks."""

import pytest

SHORT = "float32"
"""The data type of the quick tests: kernels are compiled for each; tests/backends tries others with fewer problems."""


def pytest_collection_modifyitems(items):
    for item in items:
        subject = getattr(item, "callspec", None) and item.callspec.params.get("subject")
        if subject is not None and subject.dtype != SHORT:
            item.add_marker(pytest.mark.long)
