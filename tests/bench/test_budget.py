"""Who is timed on what when time is scarce: on a clock that moves by what contestants take, and so always the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import broken
import fakes
import pytest
from clocks import CLOCK
from runs import CASE, Silent, asked, called, run
from virtual import machine

from multirec.bench.cases.case import Case
from multirec.bench.contestants import Contestant
from multirec.bench.host.clock import Budget
from multirec.bench.measure import check, session
from multirec.bench.measure.run import Run
from multirec.bench.results.write import document

LONG = replace(CASE, batch=1, channels=1, length=1024)


def growing(name: str, seconds: float, power: float = 1.0, first: bool = False) -> Contestant:
    """Takes so many seconds at T=1024."""
    found = called(name, fakes.Growing())
    found.power, found.seconds, found.first = power, seconds / 10.24**power, first
    return found


def test_who_hangs_takes_a_quarter_of_the_budget_and_none_from_those_who_wait() -> None:
    results = run(broken.Hangs(), fakes.Fake(), seconds=60.0)
    cell, bystander = results.cells
    assert (cell.status, cell.reason) == ("timeout", "no answer after 15 s; its process was ended")
    assert (bystander.status, bystander.reason) == ("ok", "")
    assert results.run["elapsed_s"] < 60


def test_an_import_takes_no_time_from_the_case_that_waits_for_it() -> None:
    slow = called("slow_to_load", fakes.Fake())
    slow.importing, slow.first = 20.0, True
    cases = [replace(LONG, name=f"T={length}", length=length) for length in (1100, 1101, 1102)]
    results = run(slow, seconds=60.0, cases=cases)
    assert [cell.status for cell in results.cells] == ["ok"] * 3


def test_slow_imports_leave_time_for_checks() -> None:
    # after two imports of 14 s there are 12 of 40 s left
    slow = [called(name, fakes.Fake()) for name in ("a", "b")]
    for each in slow:
        each.importing, each.first = 14.0, True
    quick = [growing(name, 0.1) for name in ("c", "d", "e")]
    results = run(*slow, *quick, seconds=40.0, cases=[LONG])
    assert [(cell.status, cell.reason) for cell in results.cells] == [("ok", "")] * 5


def test_a_first_compilation_into_an_empty_cache_is_not_counted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "cupy"))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    with machine():
        monkeypatch.setattr(check, "compiled_files", session.compiled_files)
        results = Run(asked(broken.Compiles(tmp_path), seconds=2.0), Silent(), budget=Budget(2.0, CLOCK)).go()
    assert results.cells[0].status == "ok"
    assert results.run["compile_s"] == pytest.approx(1.501)
    assert any("compiling kernels" in note for note in results.notes)


def shorter(*contestants: Contestant, seconds: float) -> dict[str, int | None]:
    """Return the lengths of the signals on which contestants were timed."""
    found = document(run(*contestants, seconds=seconds, cases=[LONG]))["cells"]
    for cell in found:
        assert bool(cell["samples_s"]) == (cell["status"] == "ok")
        assert (cell["shorter"] is None) == (cell["status"] != "too_slow")
    return {cell["contestant"]: cell["shorter"] and cell["shorter"]["length"] for cell in found}


def test_what_is_too_slow_as_a_whole_is_timed_on_shorter_signals_without_a_ratio() -> None:
    results = run(growing("quick", 0.01), growing("slow", 10.0), cases=[LONG], seconds=60.0)
    quick, slow = document(results)["cells"]
    assert (quick["status"], slow["status"]) == ("ok", "too_slow")
    # 10 s at T=1024 are 0.16 s at T=16, and the next longer would be beyond a quarter of a second
    assert slow["shorter"]["length"] == 16
    assert slow["shorter"]["samples_s"] == pytest.approx([10 / 64] * 3)
    assert (slow["samples_s"], slow["median_s"], slow["memcpy_fraction"]) == ([], None, None)
    assert [row["contestant"] for row in document(results)["ratios"]] == []
    assert "156 ms a call at T=16, which was timed instead; the whole takes 10.0 s a call" in slow["reason"]
    assert set(slow["check"]["errors"]) == {"y"}


def test_lengths_are_as_long_as_calls_are_short() -> None:
    found = shorter(growing("quick", 0.01), growing("slow", 9.0), growing("quadratic", 160.0, power=2.0), seconds=60.0)
    assert found == {"quick": None, "slow": 16, "quadratic": 32}


def test_what_is_slow_even_when_it_is_short_has_no_time() -> None:
    (cell,) = run(growing("slow", 600.0), cases=[LONG], seconds=60.0).cells
    assert (cell.status, cell.samples) == ("too_slow", [])
    assert "a call at T=16 already" in cell.reason


def test_a_wrong_result_on_shorter_signals_is_a_failed_check() -> None:
    wrong = growing("wrong", 20.0)
    wrong.spoil = broken.Wrong().spoil
    (cell,) = run(wrong, cases=[LONG], seconds=60.0).cells
    assert (cell.status, cell.samples) == ("failed_check", [])


@pytest.mark.parametrize("seconds", [15.0, 60.0])
def test_a_budget_is_used_and_kept_whatever_is_slow(seconds: float) -> None:
    # a bank, an order of magnitude apart from each other, with what 60 s of the default find
    costs = (0.05, 0.3, 0.8, 1.5, 3.0, 6.0, 20.0, 200.0)
    who = [growing(f"c{cost}", cost, first=cost in (0.05, 1.5, 20.0)) for cost in costs]
    results = run(*who, cases=[LONG], seconds=seconds)
    timed = [cell for cell in results.cells if cell.samples]
    left = {cell.contestant for cell in results.cells if not cell.samples}
    # a call of which takes 3 s even at the shortest length
    assert left <= ({"c200.0"} if seconds < 60 else set())
    assert results.run["elapsed_s"] < 1.02 * seconds
    assert {cell.contestant for cell in timed if cell.times} >= {"c0.05", "c0.3", "c0.8"}
    assert all(len(cell.samples) >= 3 for cell in timed if cell.contestant == "c0.05")


def test_a_quick_run_uses_its_time() -> None:
    who = []
    for number, seconds in enumerate((0.05, 0.1, 0.2)):
        who.append(called(f"c{number}", fakes.Uneven()))
        who[-1].seconds = seconds
    results = run(*who, seconds=15.0, preset="quick", cases=[replace(CASE, length=20)])
    assert 10.0 < results.run["elapsed_s"] <= 15.3
    assert all(len(cell.samples) >= 3 and (cell is results.cells[0] or results.ratio(cell)) for cell in results.cells)


def test_what_the_budget_cut_is_named_so() -> None:
    slow = called("slow", fakes.Fake())
    slow.importing = 14.0
    other = called("other", fakes.Fake())
    other.importing = 14.0
    *_, cell = run(slow, other, growing("late", 0.01), cases=[LONG], seconds=30.0).cells
    assert cell.status == "no_time_left"
    assert cell.reason.startswith("no time was left for it")
    (cell,) = run(broken.Hangs(), seconds=1.5).cells
    assert cell.status == "no_time_left"
    assert "cut off by the end of the budget" in cell.reason


def test_what_is_quick_is_timed_where_the_slow_cannot_be() -> None:
    slow = called("slow", fakes.Fake())
    slow.seconds = 1.5
    quick, other = fakes.Fake(), slow
    cells = {cell.contestant: cell for cell in run(other, quick, seconds=8.0).cells}
    assert len(cells["right"].samples) >= 3
    assert 1 <= len(cells["slow"].samples) <= 3


def test_a_call_that_was_checked_counts_where_there_is_no_time_for_another() -> None:
    slow = called("slow", fakes.Fake())
    slow.seconds = 1.5
    results = run(slow, fakes.Fake(), seconds=4.0)
    cell = results.cells[0]
    assert (cell.status, cell.samples) == ("ok", [1.5])
    assert any("its one time is that of the call that was checked" in note for note in results.notes)


def test_a_clock_that_goes_backwards_is_said() -> None:
    times = iter([0.0, 5.0, 3.0])
    with machine():
        budget = Budget(12.0, lambda: next(times, 3.0 + CLOCK()))
        results = Run(asked(fakes.Fake()), Silent(), budget=budget).go()
    assert results.cells[0].status == "ok"
    assert any("clock went backwards" in note for note in results.notes)


def test_short_problems_are_tried_as_they_are() -> None:
    case = Case(batch=1, channels=1, length=1000)
    (cell,) = run(growing("slow", 2.0), cases=[case], seconds=60.0).cells
    assert (cell.status, cell.shorter) == ("ok", None)
