"""A run meets contestants of every kind, and every cell ends with a status."""

from __future__ import annotations

import json
from dataclasses import replace

import broken
import devices
import fakes
import pytest
from runs import CASE, PressesCtrlC, Silent, called, run

from multirec.bench.cases.case import Case
from multirec.bench.contestants import Contestant
from multirec.bench.measure import references
from multirec.bench.results.cells import Cell
from multirec.bench.results.write import document
from multirec.cli._exit import exit_of


@pytest.mark.parametrize(
    ("contestant", "status", "reason"),
    [
        (fakes.Fake(), "ok", ""),
        (broken.Wrong(), "failed_check", "values of y off by"),
        (broken.NotFinite(), "failed_check", "not finite"),
        (devices.Backwards(), "crash", "its clock says that a call takes -0.001 s"),
        (devices.Stumbles(), "ok", ""),
        (broken.WrongShape(), "failed_check", "(2, 11, 120)"),
        (broken.WrongDtype(), "failed_check", "float64, expected (2, 12, 120) float32"),
        (broken.Raises(), "crash", "RuntimeError: it went wrong"),
        (broken.DiesForward(), "crash", "SIGABRT"),
        (broken.Hungry(), "oom", "MemoryError"),
        (broken.NotLoaded(), "skipped", "built for another version"),
        (broken.Huge(), "skipped", "nothing was allocated"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_bad_contestant_costs_one_row(contestant: Contestant, status: str, reason: str) -> None:
    results = run(contestant, called("bystander", fakes.Fake()))
    cell, bystander = results.cells
    assert (cell.status, bystander.status) == (status, "ok")
    assert reason in cell.reason
    assert bool(cell.samples) == (status == "ok")
    json.dumps(document(results), allow_nan=False)


def test_a_late_crash_keeps_what_was_measured() -> None:
    results = run(broken.DiesLater(), fakes.Fake())
    cell, bystander = results.cells
    assert cell.status == "crash"
    assert cell.samples
    assert bystander.status == "ok"


def test_a_crash_costs_one_mode_and_the_next_is_a_new_process() -> None:
    first, second = run(broken.DiesForward(), modes=["forward", "forward+backward"]).cells
    assert first.status == "crash"
    assert (second.status, second.reason) == ("ok", "")


def test_a_wrong_gradient_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "_COVERING", 1000.0)
    forward, both = run(broken.WrongGradient(), modes=["forward", "forward+backward"]).cells
    assert forward.status == "ok"
    assert (both.status, both.samples) == ("failed_check", [])
    assert "gradient of feedback off by" in both.reason
    assert set(both.errors or {}) == {"y", "x", "feedforward", "feedback"}


def test_everything_is_checked_before_anything_is_timed() -> None:
    progress = Silent()
    cases = [CASE, Case(name="other", batch=1, channels=3, length=50)]
    run(fakes.Fake(), called("other", fakes.Fake()), progress=progress, cases=cases, seconds=2.0)
    measure = progress.steps.index("first round")
    checks = progress.steps[progress.steps.index("check") : measure]
    assert checks.count("right forward") == checks.count("other forward") == 2
    assert "float64 reference" not in progress.steps[measure:]


class Watcher(Silent):
    """Remembers which case had each turn."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: list[int] = []

    def leader(self, cell: Cell) -> None:
        self.turns.append(cell.case)


def test_expensive_cases_are_timed_before_cheap_ones() -> None:
    watcher = Watcher()
    cases = [replace(CASE, name=f"T={length}", length=length) for length in (20, 900, 200)]
    run(fakes.Growing(), progress=watcher, cases=cases)
    assert list(dict.fromkeys(watcher.turns)) == [1, 2, 0]


def test_the_reference_runs_twice_in_every_round() -> None:
    slow = called("slow", fakes.Fake())
    slow.seconds = 0.05
    results = run(fakes.Fake(), slow, seconds=3.0)
    (copy,) = results.copies.values()
    right, other = results.cells
    assert copy.contestant == "right"
    # the budget may end within a round
    last = {max(*right.rounds, *copy.rounds, *other.rounds)}
    assert set(other.rounds) - last <= set(right.rounds) - last == set(copy.rounds) - last
    places = [place for cell in (right, copy, other) for place in zip(cell.rounds, cell.positions, strict=True)]
    assert len(set(places)) == len(places)
    assert len(set(right.positions)) > 1
    found = document(results)
    assert found["ratios"][0]["verdict"] == "slower"
    assert found["floors"][0]["floor"] > 0


def test_a_sweep_has_a_row_for_every_cell_and_growth() -> None:
    cases = [Case(name=f"biquads T={length}", batch=1, channels=3, length=length) for length in (50, 100, 200)]
    growing = fakes.Growing()
    growing.power = 2.0
    results = run(growing, cases=cases)
    assert [cell.status for cell in results.cells] == ["ok"] * 3
    (fit,) = document(results)["fits"]
    assert fit["exponent"] == pytest.approx(2.0)


def test_ctrl_c_keeps_what_was_measured() -> None:
    results = run(fakes.Fake(), broken.NotLoaded(), seconds=20.0, progress=PressesCtrlC())
    assert results.run["interrupted"]
    assert exit_of(results) == 130
    assert results.cells[0].status == "ok"
    assert results.cells[0].samples


def test_ctrl_c_before_anything_leaves_reasons() -> None:
    class Hasty(Silent):
        def step(self, text: str) -> None:
            raise KeyboardInterrupt

    (cell,) = run(fakes.Fake(), progress=Hasty()).cells
    assert cell.status == "skipped"
    assert "interrupted" in cell.reason
