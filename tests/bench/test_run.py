"""A run meets contestants of every kind, and every cell ends with a status."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import fakes
import pytest
from runs import CASE, Silent, asked, called, run

from multirec.bench.cases.case import Case
from multirec.bench.contestants import Contestant, named
from multirec.bench.host.clock import Budget
from multirec.bench.measure import check
from multirec.bench.measure.run import Run
from multirec.bench.results.cells import Cell
from multirec.bench.results.journal import JournalError
from multirec.bench.results.write import document
from multirec.cli._exit import exit_of


@pytest.mark.parametrize(
    ("contestant", "status", "reason"),
    [
        (fakes.Fake(), "ok", ""),
        (fakes.Wrong(), "failed_check", "values of y off by"),
        (fakes.NotFinite(), "failed_check", "not finite"),
        (fakes.Backwards(), "crash", "its clock says that a call takes -0.001 s"),
        (fakes.Stumbles(), "ok", ""),
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
    results = run(contestant, called("bystander", fakes.Fake()))
    cell, bystander = results.cells
    assert (cell.status, bystander.status) == (status, "ok")
    assert reason in cell.reason
    assert bool(cell.samples) == (status == "ok")
    json.dumps(document(results), allow_nan=False)


def test_a_hanging_contestant_is_ended_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "compiled_files", lambda: 1)
    began = time.monotonic()
    cell, bystander = run(fakes.Hangs(), fakes.Fake(), seconds=8.0).cells
    assert time.monotonic() - began < 8.8
    assert cell.status == "timeout"
    assert bystander.status == "ok"


@pytest.mark.long
def test_who_hangs_takes_no_time_from_those_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "compiled_files", lambda: 1)
    # a hang takes a quarter of the budget, and with the start of processes that is all the time for checks
    monkeypatch.setattr(check, "_UNTIL", 0.3)
    cell, bystander = run(fakes.Hangs(), fakes.Fake(), seconds=16.0, cases=[replace(CASE, length=4000)]).cells
    assert (cell.status, bystander.status, bystander.reason) == ("timeout", "ok", "")


# it is about shares of a few seconds, which a busy machine takes to start a process
@pytest.mark.long
def test_an_import_takes_no_time_from_the_case_that_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "compiled_files", lambda: 1)
    monkeypatch.setattr(fakes.Fake, "first", True)
    # a third of the time for checks is less than the import takes
    cases = [replace(CASE, name=f"T={length}", length=length) for length in range(1100, 1103)]
    results = run(fakes.SlowToLoad(), fakes.Fake(), seconds=6.0, cases=cases)
    assert [(cell.status, cell.reason) for cell in results.cells] == [("ok", "")] * 6


def test_a_first_compilation_into_an_empty_cache_is_not_counted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "cupy"))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    results = run(fakes.Compiles(tmp_path), seconds=2.0)
    assert results.cells[0].status == "ok"
    assert 1.5 < results.run["compile_s"] < 5
    assert results.run["elapsed_s"] > 1.5
    assert any("compiling kernels" in note for note in results.notes)


def test_a_late_crash_keeps_what_was_measured() -> None:
    results = run(fakes.DiesLater(), fakes.Fake(), seconds=5.0)
    cell, bystander = results.cells
    assert cell.status == "crash"
    assert cell.samples
    assert bystander.status == "ok"


def test_a_crash_costs_one_mode_and_the_next_is_a_new_process() -> None:
    first, second = run(fakes.DiesForward(), seconds=3.0, modes=["forward", "forward+backward"]).cells
    assert first.status == "crash"
    assert (second.status, second.reason) == ("ok", "")


def test_a_wrong_gradient_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "_COVERING", 1.0)
    forward, both = run(fakes.WrongGradient(), modes=["forward", "forward+backward"]).cells
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
    run(fakes.Linear(), progress=watcher, cases=cases)
    assert list(dict.fromkeys(watcher.turns)) == [1, 2, 0]


def test_the_reference_runs_twice_in_every_round() -> None:
    slow = called("slow", fakes.Paced())
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
    results = run(fakes.Quadratic(), cases=cases, seconds=3.0)
    assert [cell.status for cell in results.cells] == ["ok"] * 3
    (fit,) = document(results)["fits"]
    assert fit["exponent"] == pytest.approx(2.0)


class PressesCtrlC(Silent):
    """Presses Ctrl-C after some turns of one contestant."""

    def __init__(self, who: str = "right forward") -> None:
        super().__init__()
        self.who = who

    def step(self, text: str) -> None:
        super().step(text)
        if "first round" in self.steps and self.steps.count(self.who) > 4:
            raise KeyboardInterrupt


def test_ctrl_c_keeps_what_was_measured() -> None:
    results = run(fakes.Fake(), fakes.NotLoaded(), seconds=20.0, progress=PressesCtrlC())
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


def test_an_interrupted_run_is_continued(tmp_path: Path) -> None:
    journal = tmp_path / "run.json.journal"
    request = asked(fakes.Fake(), fakes.Wrong(), seconds=20.0)
    first = Run(request, PressesCtrlC(), journal)
    before = first.go().cells[0]
    first.journal.close(done=False)
    request = asked(fakes.Fake(), fakes.Wrong(), seconds=2.0)
    second = Run(request, Silent(), journal, resume=True)
    results = second.go()
    second.journal.close(done=True)
    right, wrong = results.cells
    assert wrong.status == "failed_check"
    assert right.samples[: len(before.samples)] == before.samples
    assert len(right.samples) > len(before.samples)
    assert right.rounds == sorted(set(right.rounds))
    assert any("Continued" in note for note in results.notes)
    assert not journal.exists()


def test_every_hot_and_host_sample_of_a_gpu_is_kept_and_continued(tmp_path: Path) -> None:
    journal = tmp_path / "run.json.journal"
    first = Run(asked(fakes.OnDevice(), seconds=20.0), PressesCtrlC("on_device forward"), journal)
    before = first.go().cells[0]
    first.journal.close(done=False)
    results = Run(asked(fakes.OnDevice(), seconds=2.0), Silent(), journal, resume=True).go()
    (cell,) = document(results)["cells"]
    assert cell["hot_samples_s"][: len(before.hot)] == before.hot != []
    assert cell["hot_samples_s"] == [seconds / 2 for seconds in cell["samples_s"]]
    assert cell["host_samples_s"] == pytest.approx([seconds / 10 for seconds in cell["samples_s"]])
    assert cell["hot_s"] == pytest.approx(cell["median_s"] / 2)
    assert cell["host_s"] == pytest.approx(cell["median_s"] / 10)


def test_what_is_quick_is_timed_where_the_slow_cannot_be() -> None:
    slow = called("slow", fakes.Paced())
    slow.seconds = 1.5
    results = run(slow, fakes.Fake(), seconds=8.0)
    cells = {cell.contestant: cell for cell in results.cells}
    assert len(cells["right"].samples) >= 3
    assert len(cells["slow"].samples) <= 3


def test_the_end_of_the_budget_is_not_a_contestants_time_out() -> None:
    slow = called("slow", fakes.Paced())
    slow.seconds = 30.0
    (cell,) = run(slow, seconds=1.5).cells
    assert cell.status == "skipped"
    assert "cut off by the end of the budget" in cell.reason


def test_what_a_journal_has_settled_is_not_run_again(tmp_path: Path) -> None:
    journal = tmp_path / "run.json.journal"
    request = asked(fakes.Fake(), fakes.Wrong(), seconds=2.0)
    Run(request, Silent(), journal).go()
    progress = Silent()
    results = Run(request, progress, journal, resume=True).go()
    assert [cell.status for cell in results.cells] == ["ok", "failed_check"]
    assert progress.steps == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a journal"),
        ('{"journal": "else"}\n', "not a journal"),
        ("[]\n", "line 1, is not an object"),
        ('{"journal"\n{}\n', "line 1, is not JSON"),
        ('{"journal": "multirec.bench.journal/3", "run": {"seed": 7}}\n', "contestants differ"),
    ],
)
def test_a_foreign_journal_is_refused(tmp_path: Path, text: str, message: str) -> None:
    journal = tmp_path / "run.json.journal"
    journal.write_text(text)
    with pytest.raises(JournalError, match=message):
        Run(asked(fakes.Fake()), Silent(), journal, resume=True)
    assert journal.read_text() == text


def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    journal = tmp_path / "run.json.journal"
    Run(asked(fakes.Wrong()), Silent(), journal).go()
    whole = journal.read_text()
    journal.write_text(whole[:-20])
    results = Run(asked(fakes.Wrong()), Silent(), journal, resume=True).results
    assert results.cells[0].open


def test_a_clock_that_goes_backwards_is_said() -> None:
    times = iter([0.0, 5.0, *([3.0] * 3)])
    last = [3.0]

    def clock() -> float:
        last[0] = next(times, last[0] + 0.001)
        return last[0]

    request = asked(fakes.Fake())
    results = Run(request, Silent(), budget=Budget(12.0, clock)).go()
    assert results.cells[0].status == "ok"
    assert any("clock went backwards" in note for note in results.notes)


def test_too_slow_is_predicted_from_short_runs() -> None:
    (contestant,) = named(("loop_per_filter",))
    if contestant.missing():
        pytest.skip(str(contestant.missing()))
    case = Case(batch=1, channels=256, length=20_000)
    (cell,) = run(contestant, cases=[case], seconds=15.0).cells
    assert cell.status == "too_slow"
    assert "predicted from short runs" in cell.reason
