"""Exit codes, ratios and the table."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from multirec.bench.cases.case import Case
from multirec.bench.host.clock import Budget
from multirec.bench.measure.notes import notes
from multirec.bench.results.cells import Cell, Results
from multirec.bench.results.format import Run, Status
from multirec.bench.results.origin import describe_machine, versions
from multirec.bench.results.schema import json_schema
from multirec.bench.results.write import document
from multirec.bench.show.report import report
from multirec.cli._exit import exit_of


def results_of(*statuses: Status, interrupted: bool = False) -> Results:
    run: Run = {
        "name": "test",
        "started": "2026-01-01T00:00:00Z",
        "elapsed_s": 1.0,
        "budget_s": 60.0,
        "compile_s": 0.0,
        "preset": "default",
        "seed": 0,
        "command": "multirec bench",
        "interrupted": interrupted,
    }
    results = Results(run, describe_machine(), versions(["numpy"]), None, [Case()])
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
        (("ok", "timeout", "crash"), 8),
        (("oom", "skipped"), 7),
    ],
)
def test_exit_codes(statuses: tuple[Status, ...], code: int) -> None:
    assert exit_of(results_of(*statuses)) == code
    assert exit_of(results_of(*statuses, interrupted=True)) == 130


def measured(name: str, seconds: float, factor: float = 1.1) -> Cell:
    samples = [seconds * factor**turn for turn in range(8)]
    cell = Cell(name, "forward", samples=samples, rounds=list(range(8)), positions=[0] * 8, peak=123_456_789)
    cell.errors, cell.first_call, cell.checked = {"y": 3e-6}, 0.7, "8 of 128 channels, all 32 examples, full length"
    cell.close("ok")
    return cell


def compared() -> Results:
    results = results_of("crash", "skipped", "too_slow")
    results.cells += [measured("numba", 0.02), measured("scipy", 0.8), measured("duplicate", 0.0201)]
    results.cells[3].backend = results.cells[5].backend = True
    results.copies[0, "forward"] = measured("numba", 0.021)
    results.picks[0, "forward"] = {"cpu": "duplicate"}
    results.bandwidth = {"cpu": 26.5e9}
    return results


def test_a_sweep_has_one_note_of_its_noise_and_one_of_its_drift() -> None:
    results = results_of()
    results.cases = [Case(name=f"biquads T={length}", length=length) for length in (100, 200, 300)]
    for place in range(3):
        reference = measured("numba", 0.02, factor=1.0 + 0.05 * place)
        reference.samples.append(reference.samples[-1])
        reference.rounds.append(8)
        reference.case = place
        results.cells.append(reference)
        copy = measured("numba", 0.02 * (1 + place / 4), factor=1.0 + 0.05 * place)
        results.copies[place, "forward"] = copy
    noise, drift = (note for note in notes(results, Budget(1.0)) if "cases and modes" in note)
    assert "differ from itself by 50 % (biquads T=300 forward, after 8 rounds of numba; by over 10 % in 2 of 3" in noise
    assert "slowed down by 77 % (biquads T=300 forward; by over 10 % in 2 of 3 cases and modes)" in drift


def test_the_document_fits_its_schema() -> None:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    found = document(compared())
    assert list(Draft202012Validator(schema).iter_errors(found)) == []
    found["cells"][0]["status"] = "splendid"
    assert [list(error.path) for error in Draft202012Validator(schema).iter_errors(found)] == [["cells", 0, "status"]]


def test_ratios_are_paired_so_that_drift_falls_out() -> None:
    found = document(compared())
    ratios = {row["contestant"]: row for row in found["ratios"]}
    assert set(ratios) == {"scipy", "duplicate"}
    assert ratios["scipy"]["ratio"] == pytest.approx(1 / 40)
    assert ratios["scipy"]["high"] - ratios["scipy"]["low"] < 1e-9
    assert (ratios["scipy"]["verdict"], ratios["duplicate"]["verdict"]) == ("slower", "tie")
    assert found["floors"][0]["floor"] == pytest.approx(0.05, rel=1e-3)


def test_regret_is_over_the_fastest_backend_timed() -> None:
    (row,) = document(compared())["regret"]
    assert row["regret"] == pytest.approx(1.005)
    assert (row["picked"], row["fastest"]) == ("duplicate", "numba")


def test_auto_is_compared_on_the_arrays_of_each_device_alone() -> None:
    results = compared()
    for name, seconds in (("cupy", 1e-4), ("unfold_scan", 1e-3)):
        cell = measured(name, seconds)
        cell.backend, cell.device = True, "cuda"
        results.cells.append(cell)
    results.picks[0, "forward"] = {"cpu": "numba", "cuda": "cupy"}
    found = document(results)
    rows = {row["device"]: (row["picked"], row["fastest"], row["regret"]) for row in found["regret"]}
    assert rows == {"cpu": ("numba", "numba", 1.0), "cuda": ("cupy", "cupy", 1.0)}
    results.cells = [cell for cell in results.cells if cell.contestant != "unfold_scan"]
    assert [row["device"] for row in document(results)["regret"]] == ["cpu", "cuda"]
    text = " ".join(line.text.strip() for line in report(found))
    assert "picks numba for arrays on cpu, the fastest of multirec's backends here" in text
    assert "picks cupy for arrays on cuda, the fastest of multirec's backends here" in text


def test_a_time_that_cannot_be_counts_for_nothing() -> None:
    results = compared()
    numba, cheat = results.cells[3], measured("cheat", 1e-9)
    cheat.backend, cheat.status, cheat.reason = True, "bad_time", "too fast"
    results.cells.append(cheat)
    found = document(results)
    row = found["cells"][-1]
    assert (row["median_s"], row["memcpy_fraction"], row["samples_s"] == cheat.samples) == (None, None, True)
    assert "cheat" not in {row["contestant"] for row in found["ratios"]} | {row["fastest"] for row in found["regret"]}
    assert exit_of(results) == 4
    numba.status = "bad_time"
    assert document(results)["ratios"] == []
    assert document(results)["floors"][0]["floor"] is None


def test_fraction_of_memcpy() -> None:
    results = compared()
    cell = next(cell for cell in document(results)["cells"] if cell["contestant"] == "numba")
    traffic = results.cases[0].traffic("forward")
    assert cell["memcpy_fraction"] == pytest.approx(traffic / cell["median_s"] / 26.5e9)


def test_growth_is_fitted_along_a_swept_axis() -> None:
    results = results_of()
    results.cases = [Case(length=length) for length in (1000, 2000, 4000)]
    for place, case in enumerate(results.cases):
        cell = measured("numba", 1e-6 * case.length**2, factor=1.0)
        cell.case = place
        results.cells.append(cell)
    (row,) = document(results)["fits"]
    assert (row["axis"], row["points"]) == ("length", 3)
    assert row["exponent"] == pytest.approx(2)


def test_an_expensive_first_call_is_repaid_by_faster_ones() -> None:
    results = compared()
    numba, scipy = results.cells[3], results.cells[4]
    numba.first_call, scipy.first_call = 10.0, scipy.median
    rows = {row["contestant"]: row["break_even_calls"] for row in document(results)["cells"]}
    results.cells.remove(results.cells[5])
    own = {row["contestant"]: row["break_even_calls"] for row in document(results)["cells"]}
    assert rows["scipy"] is None
    assert own["numba"] == pytest.approx((10 - numba.median) / (scipy.median - numba.median))
