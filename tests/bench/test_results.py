"""Exit codes, ratios and the table."""

from __future__ import annotations

import pytest

from multirec.bench._case import Case
from multirec.bench._machine import describe_machine
from multirec.bench._results import Cell, Results, Status


def results_of(*statuses: Status, interrupted: bool = False) -> Results:
    results = Results(Case(), describe_machine(), 60.0, interrupted=interrupted)
    for place, status in enumerate(statuses):
        cell = Cell(f"contestant_{place}", "forward")
        cell.close(status, "a reason " * 20)
        results.cells.append(cell)
    return results


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        (("ok",), 0),
        (("ok", "unsupported", "skipped", "too_slow"), 0),
        (("skipped", "unsupported"), 5),
        (("too_slow",), 5),
        (("failed_check",), 4),
        (("ok", "failed_check", "crash"), 4),
        (("ok", "crash"), 7),
        (("ok", "timeout"), 7),
        (("oom", "skipped"), 7),
    ],
)
def test_exit_codes(statuses: tuple[Status, ...], code: int) -> None:
    assert results_of(*statuses).exit_code() == code
    assert results_of(*statuses, interrupted=True).exit_code() == 130


def measured(name: str, seconds: float, device: str = "cpu") -> Cell:
    cell = Cell(name, "forward", device=device, samples=[seconds, seconds * 1.1, seconds * 1.3], peak=123_456_789)
    cell.errors, cell.first_call, cell.checked = {"y": 3e-6}, 0.7, "8 of 128 channels, all 32 examples, full length"
    cell.close("ok")
    return cell


def test_ratios_refer_to_scipy_on_a_cpu_and_to_torch_loop_elsewhere() -> None:
    results = results_of()
    results.cells = [measured("scipy", 0.8), measured("torch_loop", 0.4), measured("numba", 0.02)]
    assert results.ratio(results.cells[2]) == pytest.approx(40)
    results.cells.append(measured("cupy", 0.0001, "cuda"))
    assert results.ratio(results.cells[3]) == pytest.approx(4000)
    results.cells = results.cells[2:3]
    assert results.ratio(results.cells[0]) is None


def test_fraction_of_memcpy() -> None:
    results = results_of()
    cell = measured("numba", 0.02)
    results.bandwidth = {"cpu": 26.5e9}
    traffic = results.case.traffic("forward")
    assert results.memcpy_fraction(cell) == pytest.approx(traffic / 0.022 / 26.5e9)
