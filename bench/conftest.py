"""Options of `pytest bench`."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--contestant", action="append", metavar="NAME", help="whom to time; repeatable (numba)")
    parser.addoption("--case", action="append", metavar="NAME", help="a case of multirec bench; repeatable (all)")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    from multirec.bench.cases.case import MODES
    from multirec.bench.cases.named import NAMED

    if "case_name" in metafunc.fixturenames:
        metafunc.parametrize("case_name", metafunc.config.getoption("--case") or list(NAMED))
        metafunc.parametrize("mode", MODES)
        metafunc.parametrize("contestant_name", metafunc.config.getoption("--contestant") or ["numba"])
