"""Advice: each thing that makes measurements worse is said, with what to do."""

from __future__ import annotations

from typing import Any

import pytest

from multirec.bench.measure import environment
from multirec.bench.measure.environment import Environment, advice

QUIET = Environment(20e9, 0.01, 100, 0.0)
MACHINE: dict[str, Any] = {"cores": 4, "threads": 4, "load_before": 0.1, "governor": None, "timer_resolution_s": 1e-7}


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Files of the system as they are to be read, by the end of their names."""
    content: dict[str, str] = {}
    monkeypatch.setattr(
        environment,
        "_read",
        lambda path: next((text for end, text in content.items() if str(path).endswith(end)), None),
    )
    return content


def told(machine: dict[str, Any], found: Environment = QUIET) -> str:
    return " ".join(advice(MACHINE | machine, found))


def test_a_quiet_machine_needs_nothing(files: dict[str, str]) -> None:
    assert told({}) == "Nothing was found that would make measurements worse."


@pytest.mark.parametrize(
    ("machine", "found", "message"),
    [
        ({"load_before": 2.5}, QUIET, "The load before was 2.5 on 4 cores"),
        ({"threads": 2}, QUIET, "Kernels use 2 of 4 cores"),
        ({"governor": "powersave"}, QUIET, "governor 'powersave'"),
        ({"timer_resolution_s": 1e-5}, QUIET, "timer's step is 10.0 µs"),
        ({}, QUIET._replace(stolen=0.07), "took 7 % of the processor's time"),
        ({}, QUIET._replace(floor=0.3), "differ by up to 30 %"),
    ],
)
def test_what_makes_it_worse_is_said(
    files: dict[str, str], machine: dict[str, Any], found: Environment, message: str
) -> None:
    assert message in told(machine, found)


def test_files_of_the_system_are_read(files: dict[str, str]) -> None:
    files["cpu.max"] = "150000 100000"
    assert "may use 1.5 cores at a time, less than the 4 threads" in told({})
    files["cpu.max"] = "max 100000"
    assert told({"governor": "performance"}).startswith("Nothing")


def test_stolen_time_is_counted(files: dict[str, str]) -> None:
    files["/proc/stat"] = "cpu  10 0 10 70 0 0 0 10 0 0\ncpu0 1"
    assert environment._stolen() == (10, 100)
    files["/proc/stat"] = "unknown"
    assert environment._stolen() is None
