"""Two runs: what became faster, slower, stayed, or cannot be told; broke, went or came."""

from __future__ import annotations

import copy
from math import isclose

import documents
import pytest

from multirec.bench.results.compare import Comparison, Pair, compare
from multirec.bench.results.format import Document
from multirec.bench.show.comparison import comparison_report
from multirec.errors import ArgumentError


def changed(document: Document, name: str, factor: float) -> Document:
    """The same run with other times of one contestant."""
    new = copy.deepcopy(document)
    for cell in new["cells"]:
        if cell["contestant"] == name and cell["median_s"]:
            cell["samples_s"] = [seconds * factor for seconds in cell["samples_s"]]
            cell.update({key: cell[key] * factor for key in ("median_s", "low_s", "high_s")})  # type: ignore[typeddict-item,literal-required]
    for ratio in new["ratios"]:
        if ratio["contestant"] == name:
            ratio.update({key: ratio[key] / factor for key in ("ratio", "low", "high")})  # type: ignore[typeddict-item,literal-required]
    return new


def elsewhere(document: Document) -> Document:
    new = copy.deepcopy(document)
    new["machine"].update(id="other", cpu="Another CPU")
    return new


def pair_of(comparison: Comparison, contestant: str, mode: str = "forward") -> Pair:
    return next(pair for pair in comparison.pairs if (pair.contestant, pair.mode) == (contestant, mode))


@pytest.mark.parametrize(
    ("factor", "outcome"), [(1.2, "slower"), (1.1, "slower"), (1.0, "same"), (0.8, "faster"), (1.015, "same")]
)
def test_raw_times_are_compared_on_one_machine(factor: float, outcome: str) -> None:
    base = documents.biquads()
    found = compare(base, changed(base, "scipy", factor))
    pair = pair_of(found, "scipy")
    assert found.by == "times"
    assert pair.outcome == outcome
    assert pair.speed is not None
    assert pair.low is not None
    assert pair.high is not None
    assert isclose(pair.speed, 1 / factor)
    assert pair.low <= pair.speed <= pair.high


def test_ratios_are_compared_across_machines_or_on_request() -> None:
    base = documents.biquads()
    # twice as fast a machine is no change of a contestant
    new = base
    for name in {cell["contestant"] for cell in base["cells"]}:
        new = changed(new, name, 0.5)
    new["ratios"] = base["ratios"]
    for found in (compare(base, elsewhere(new)), compare(base, new, ratios=True)):
        assert found.by == "ratios"
        assert pair_of(found, "numba").speed == 1.0
        assert pair_of(found, "scipy").outcome == "reference"
    assert compare(base, new).by == "times"
    assert pair_of(compare(base, new), "numba").outcome == "faster"
    assert "machines differ" in compare(base, elsewhere(new)).notes[0]


def test_a_slower_contestant_is_found_across_machines() -> None:
    base = documents.biquads()
    assert pair_of(compare(base, elsewhere(changed(base, "numba", 1.2))), "numba").outcome == "slower"


def test_other_references_cannot_be_compared() -> None:
    base, new = documents.biquads(), elsewhere(documents.biquads())
    for row in (*new["ratios"], *new["floors"]):
        row.update({key: "jax" for key in ("reference", "contestant") if row.get(key) == "scipy"})  # type: ignore[typeddict-item]
    pair = pair_of(compare(base, new), "numba")
    assert (pair.outcome, pair.speed) == ("unclear", None)
    assert "the references differ: scipy and jax" in pair.reason


def test_what_broke_went_came_or_was_fixed() -> None:
    base, new = documents.biquads(), documents.biquads()
    new["cells"][0].update(documents.untimed(0, "numba", "crash", "SIGSEGV"))
    new["cells"][2].update(documents.untimed(0, "jax", "skipped", "not installed"))
    new["cells"][6].update(documents.cell(0, "philtorch", 1.0))
    new["cells"][8].update(documents.cell(0, "loop_cloned", 9.0))
    del new["cells"][4]
    found = compare(base, new)
    names = ("numba", "jax", "philtorch", "loop_cloned", "torchaudio")
    outcomes = {name: pair_of(found, name).outcome for name in names}
    assert outcomes == {
        "numba": "broken",
        "jax": "gone",
        "philtorch": "fixed",
        "loop_cloned": "new",
        "torchaudio": "gone",
    }
    assert pair_of(found, "torchlpc").outcome == "untimed"
    assert pair_of(found, "numba").reason == "crash: SIGSEGV"


def test_the_gate() -> None:
    slower = Pair("case", "forward", "a", "slower", 1.0, 1.1, 1 / 1.1, 0.9, 0.92)
    assert slower.regressed(0.05)
    assert not slower.regressed(0.15)
    assert Pair("case", "forward", "a", "broken").regressed(10.0)
    assert not Pair("case", "forward", "a", "faster", 1.0, 0.5, 2.0, 1.9, 2.1).regressed(0.0)
    unclear = Pair("case", "forward", "a", "unclear", 1.0, 1.0, 1.0, 0.8, 1.2)
    assert unclear.doubtful(0.1)
    assert not unclear.doubtful(0.3)
    assert Pair("case", "forward", "a", "unclear").doubtful(10.0)
    assert Pair("case", "forward", "a", "gone").doubtful(10.0)


def test_the_geometric_mean() -> None:
    base = documents.document([documents.cell(0, "numba", 1.0), documents.cell(0, "jax", 1.0)])
    mean = compare(base, changed(changed(base, "numba", 0.5), "jax", 2.0)).mean
    assert mean is not None
    assert isclose(mean[0], 1.0)
    assert mean[1] < 1.0 < mean[2]


def test_nothing_in_common_is_an_error() -> None:
    other = documents.document([documents.cell(0, "numba", 1.0)], [documents.case(length=99)])
    with pytest.raises(ArgumentError, match="no cell in common"):
        compare(documents.biquads(), other)


def test_changes_around_the_run_are_noted() -> None:
    base, new = documents.biquads(), documents.biquads()
    new["versions"]["torch"] = "9.9"
    new["machine"]["threads"] = 8
    new["calibration"]["memcpy_bytes_per_s"]["cpu"] = 1e9
    new["run"]["interrupted"] = True
    notes = " ".join(compare(base, new).notes)
    for text in ("torch 2.13.0 → 9.9", "threads differ: 2 and 8", "20 and 1 GB/s", "the new run was interrupted"):
        assert text in notes


@pytest.mark.parametrize("width", [72, 80, 100])
def test_the_report_fits_and_has_every_pair_with_times(width: int) -> None:
    base = documents.biquads()
    found = compare(base, changed(base, "numba", 1.2))
    lines = [line.text for line in comparison_report(found, width)]
    assert max(map(len, lines)) <= width
    (row,) = [line for line in lines if line.startswith("numba") and "27.5 ms" in line]
    assert row.split()[-3:] == ["0.833×", "1%", "slower"]
    text = " ".join(" ".join(lines).split())
    assert "geometric mean of the speeds" in text
    assert "7 same" in text
