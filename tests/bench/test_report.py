"""The table: within its width, every cell with a row, and no digit that is not supported."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import documents
import pytest

from multirec.bench.results.format import Document
from multirec.bench.show.export import as_csv, as_markdown, as_torch_compare
from multirec.bench.show.report import report

ALL = [documents.biquads, documents.sweep]


def text_of(document: Document, width: int = 100) -> str:
    return "\n".join(line.text for line in report(document, width))


def row_of(document: Document, contestant: str, width: int = 100) -> str:
    return next(line.text for line in report(document, width) if line.text.startswith(f"{contestant} "))


@pytest.mark.parametrize("width", [40, 72, 80, 100, 240])
@pytest.mark.parametrize("make", ALL)
def test_it_fits(make: type, width: int) -> None:
    lines = [line.text for line in report(make(), width)]
    assert max(map(len, lines)) <= max(72, min(width, 100))
    # the columns that everybody looks for are there at any width
    assert any(line.split()[:2] == ["contestant", "median"] and "vs scipy" in line for line in lines)


@pytest.mark.parametrize("width", [72, 100])
def test_what_there_is_no_room_for_is_named(width: int) -> None:
    text = text_of(documents.biquads(), width)
    assert ("no room for: n, error" in text) == (width == 72)


def test_every_cell_has_a_row_with_its_status_and_reason() -> None:
    text = text_of(documents.biquads())
    for row in documents.biquads()["cells"]:
        assert row["contestant"] in text
        if row["status"] != "ok":
            assert f"{row['status']}: {row['reason']}" in " ".join(text.split())


def test_a_tie_is_called_a_tie_and_a_doubt_a_doubt() -> None:
    assert " tie " in row_of(documents.biquads(), "jax")
    assert " 1.4× slower? " in row_of(documents.biquads(), "torchaudio")
    assert " 17.0× faster " in row_of(documents.biquads(), "numba")


@pytest.mark.parametrize(
    ("half", "shown"),
    [(0.00005, " 27.4 ms "), (0.002, " 27 ms "), (0.012, " 30 ms ")],
    ids=["narrow", "wide", "useless"],
)
def test_digits_follow_the_interval(half: float, shown: str) -> None:
    cell = documents.cell(0, "numba", 0.0274, median_s=0.0274, low_s=0.0274 - half, high_s=0.0274 + half)
    assert shown in row_of(documents.document([cell]), "numba")


def test_a_single_sample_has_two_digits_in_every_format() -> None:
    once = documents.cell(0, "numba", 0.7441, samples_s=[0.7441], median_s=0.7441, low_s=0.7441, high_s=0.7441)
    document = documents.document([once])
    assert " 740 ms " in row_of(document, "numba")
    assert as_torch_compare(document).splitlines()[3].split()[-1] == "740"


def test_a_reason_that_follows_itself_is_not_repeated() -> None:
    reasons = {"a": "no time", "b": "no time", "c": "not installed", "d": "no time"}
    cells = [documents.untimed(0, name, "skipped", reason) for name, reason in reasons.items()]
    document = documents.document([documents.cell(0, "numba", 0.01), *cells])
    told = [row_of(document, name).split(maxsplit=1)[1] for name in reasons]
    assert told == ["skipped: no time", "skipped: the same", "skipped: not installed", "skipped: no time"]


def test_columns_without_a_figure_are_left_out() -> None:
    document = documents.document([documents.cell(0, "numba", 0.01, break_even_calls=None, peak_bytes=None)])
    head = row_of(document, "contestant")
    assert "repaid" not in head
    assert "memory" not in head
    assert "repaid" in row_of(documents.biquads(), "contestant")
    assert "hot" not in row_of(documents.biquads(), "contestant")
    on_gpu = documents.document([documents.cell(0, "cupy", 0.001, device="cuda:0", hot_s=0.0009, host_s=2e-5)])
    assert {"900 µs", "20.0 µs"} <= set(re.split(r"  +", row_of(on_gpu, "cupy")))


def test_what_is_missing_in_every_case_is_said_once() -> None:
    cells = [documents.untimed(place, "torchlpc", "skipped", "not installed") for place in range(4)]
    document = documents.sweep()
    document["cells"] += cells
    text = text_of(document)
    assert text.count("torchlpc") == 1
    assert text.index("every case") < text.index("torchlpc")
    # in one case only, it stays with that case
    assert text_of(documents.sweep()).count("too_slow") == 1


def test_remarks_of_floor_auto_and_growth() -> None:
    assert "A/A floor ±2.0%: scipy against a hidden second copy" in text_of(documents.biquads())
    assert "backend='auto' picks numba, the fastest" in text_of(documents.biquads())
    assert "proportional to length to the power of: numba 0.98" in text_of(documents.sweep())
    many = documents.sweep()
    many["fits"].append(many["fits"][0] | {"exponent": 0.5})
    many["regret"] = [
        {"case": place, "mode": "forward", "picked": "numba", "fastest": name, "regret": 1.5}
        for place, name in enumerate(("numba", "numba", "jax"))
    ]
    assert "to the power of: numba 0.50 to 0.98" in text_of(many)
    assert "picks the fastest of multirec's backends in 2 of 3 cases" in text_of(many)
    assert text_of(many).count("picks numba, which takes 1.50× the time of jax") == 1
    slow = documents.biquads()
    slow["regret"][0].update(fastest="unfold_scan", regret=1.31)
    assert "picks numba, which takes 1.31× the time of unfold_scan" in text_of(slow)


def test_the_clocks_of_a_gpu_are_a_line() -> None:
    document = documents.biquads()
    assert "clocks" not in text_of(document)
    document["clocks"] = documents.clocks()
    text = " ".join(text_of(document).split())
    line = "clocks SM 1980 → 1755 (lowest 1700) MHz, memory 2619 MHz, 34 → 61 °C, 120 → 690 W, slowed down by its power"
    assert f"{line} limit (NVML)" in text
    nothing: Any = {"before": None, "after": None, "lowest_sm_mhz": None, "slowed_by": []}
    document["clocks"] = documents.clocks(source="unknown: no driver", **nothing)
    assert "clocks unknown: no driver" in " ".join(text_of(document).split())


def test_an_interrupted_run_says_so() -> None:
    document = documents.biquads()
    document["run"]["interrupted"] = True
    assert "Interrupted" in text_of(document)


def test_a_failed_check_keeps_an_error_that_is_not_finite() -> None:
    cell = documents.cell(0, "numba", 0.01, check={"errors": {"y": None}, "what": ""})
    assert " inf " in row_of(documents.document([cell]), "numba") + " "


@pytest.mark.parametrize("make", ALL)
def test_csv_has_a_line_for_each_cell_and_the_figures_as_they_are(make: type) -> None:
    document = make()
    rows = list(csv.DictReader(io.StringIO(as_csv(document))))
    assert [row["contestant"] for row in rows] == [cell["contestant"] for cell in document["cells"]]
    for row, cell in zip(rows, document["cells"], strict=True):
        assert row["median_s"] == ("" if cell["median_s"] is None else repr(cell["median_s"]))
        assert row["reason"] == cell["reason"]


def test_markdown_rows_have_as_many_cells_as_their_head() -> None:
    document = documents.biquads()
    document["cells"][6]["reason"] = "a | b"
    rows = [line.replace("\\|", "") for line in as_markdown(document).splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows} == {12}
    assert any("a \\| b" in line for line in as_markdown(document).splitlines())


def test_torch_style_has_a_section_a_mode_and_names_what_has_no_time() -> None:
    text = as_torch_compare(documents.biquads())
    assert text.count("Times are in milliseconds (ms).") == 2
    head = text.splitlines()[1]
    assert [name.strip() for name in head.split("|")[1:]] == [
        *("numba", "unfold_scan", "jax", "scipy", "torchaudio", "loop_in_place")
    ]
    assert "2 threads: ---" in text
    assert "biquads scipy: unsupported: SciPy has no gradient" in text
