"""What SciPy's own tests need of pytest."""

from __future__ import annotations

import pytest

MARKERS = "array_api_backends", "fail_slow", "skip_xp_backends", "slow", "xfail_on_32bit", "xfail_xp_backends"


def pytest_configure(config: pytest.Config) -> None:
    for name in MARKERS:
        config.addinivalue_line("markers", f"{name}: of SciPy's own tests")
