"""A run meets contestants of every kind, and every cell ends with a status."""

from __future__ import annotations

import json

import fakes
import pytest

from multirec.bench import _run
from multirec.bench._case import Case
from multirec.bench._results import Cell, Results
from multirec.bench._write import document
from multirec.bench.contestants import Contestant, named

CASE = Case(batch=2, channels=12, length=120)


class Silent:
    """Tells nobody anything, and remembers the order of steps."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def phase(self, name: str, steps: int) -> None:
        self.steps.append(name)

    def step(self, text: str) -> None:
        self.steps.append(text)

    def settled(self, cell: Cell) -> None:
        pass


def run(*contestants: Contestant, seconds: float = 1.0, progress: Silent | None = None, **kwargs: object) -> Results:
    return _run.Run(contestants, CASE, ["forward"], seconds, progress or Silent(), **kwargs).go()


@pytest.mark.parametrize(
    ("contestant", "status", "reason"),
    [
        (fakes.Fake(), "ok", ""),
        (fakes.Wrong(), "failed_check", "values of y off by"),
        (fakes.NotFinite(), "failed_check", "not finite"),
        (fakes.WrongShape(), "failed_check", "(2, 11, 120)"),
        (fakes.WrongDtype(), "failed_check", "float64, expected (2, 12, 120) float32"),
        (fakes.Raises(), "crash", "RuntimeError: it went wrong"),
        (fakes.Dies(), "crash", "SIGABRT"),
        (fakes.Hungry(), "oom", "MemoryError"),
        (fakes.NotLoaded(), "skipped", "built for another version"),
        (fakes.Huge(), "skipped", "nothing was allocated"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_bad_contestant_costs_one_row(contestant: Contestant, status: str, reason: str) -> None:
    other = fakes.Fake()
    other.name = "bystander"
    results = run(contestant, other)
    cell, bystander = results.cells
    assert (cell.status, bystander.status) == (status, "ok")
    assert reason in cell.reason
    assert bool(cell.samples) == (status == "ok")
    json.dumps(document(results), allow_nan=False)


def test_a_hanging_contestant_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_run, "_PATIENCE", 1.0)
    cell, bystander = run(fakes.Hangs(), fakes.Fake(), seconds=5.0).cells
    assert cell.status == "timeout"
    assert bystander.status == "ok"


def test_a_late_crash_keeps_what_was_measured() -> None:
    results = run(fakes.DiesLater(), fakes.Fake(), seconds=2.0)
    cell, bystander = results.cells
    assert cell.status == "crash"
    assert cell.samples
    assert bystander.status == "ok"


def test_everything_is_checked_before_anything_is_timed() -> None:
    progress = Silent()
    other = fakes.Fake()
    other.name = "other"
    run(fakes.Fake(), other, progress=progress)
    measure = progress.steps.index("measure")
    assert {"right forward", "other forward"} <= set(progress.steps[progress.steps.index("check") : measure])


def test_ctrl_c_keeps_what_was_measured() -> None:
    class Impatient(Silent):
        def step(self, text: str) -> None:
            super().step(text)
            if "measure" in self.steps and self.steps.count("right forward") > 4:
                raise KeyboardInterrupt

    results = run(fakes.Fake(), fakes.NotLoaded(), seconds=20.0, progress=Impatient())
    assert results.interrupted
    assert results.exit_code() == 130
    assert results.cells[0].status == "ok"
    assert results.cells[0].samples


def test_ctrl_c_before_anything_leaves_reasons() -> None:
    class Hasty(Silent):
        def step(self, text: str) -> None:
            raise KeyboardInterrupt

    (cell,) = run(fakes.Fake(), progress=Hasty()).cells
    assert cell.status == "skipped"
    assert "interrupted" in cell.reason


def test_too_slow_is_predicted_from_short_runs() -> None:
    (contestant,) = named(("one_by_one",))
    if contestant.missing():
        pytest.skip(str(contestant.missing()))
    case = Case(batch=1, channels=256, length=20_000)
    (cell,) = _run.Run([contestant], case, ["forward"], 15.0, Silent()).go().cells
    assert cell.status == "too_slow"
    assert "predicted from two short runs" in cell.reason
