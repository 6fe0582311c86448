"""What SciPy's own tests need of pytest."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    for name in ("xfail_on_32bit", "parallel_threads_limit", "thread_unsafe", "skip_xp_backends", "xfail_xp_backends", "uses_xp_capabilities", "array_api_backends", "fail_slow", "slow", "xslow"):
        config.addinivalue_line("markers", f"{name}: of SciPy's own tests")
