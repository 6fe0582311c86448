"""One case in a screen: within its lines and its width, and nobody is left out silently."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import documents
import pytest

from multirec.bench.show.brief import MOST_LINES, brief
from multirec.bench.show.report import Line, report


@pytest.mark.parametrize("width", [40, 72, 100, 240])
def test_it_fits(width: int) -> None:
    lines = [line.text for line in brief(documents.biquads(), width)]
    assert len(lines) <= MOST_LINES
    assert max(map(len, lines)) <= max(72, min(width, 100))


def test_everybody_is_named_once_in_each_mode() -> None:
    document = documents.biquads()
    text = "\n".join(line.text for line in brief(document))
    for cell in document["cells"]:
        assert f"{cell['contestant']} " in text.replace(",", " ").replace("\n", " ").replace(";", " ") + " "
    assert "faster or slower than scipy, in the same rounds" in text
    assert "-v shows all rows" in text


def test_many_rows_keep_to_the_screen_and_their_times() -> None:
    document = documents.biquads()
    timed = next(cell for cell in document["cells"] if cell["median_s"])
    document["cells"] += [timed | {"contestant": f"c{n}", "median_s": 100.0 + n} for n in range(20)]
    lines = [line.text for line in brief(document)]
    assert len(lines) <= MOST_LINES
    assert any(line.startswith("slower: ") and "c0 100 s" in line for line in lines)


@pytest.mark.parametrize("show", [brief, report])
def test_shorter_signals_are_shown_with_their_length(show: Callable[..., Iterator[Line]]) -> None:
    document = documents.biquads()
    row = next(cell for cell in document["cells"] if cell["status"] == "too_slow")
    row["shorter"] = {"length": 250, "samples_s": [0.2], "median_s": 0.2}
    row["reason"] = "200 ms a call at T=250, which was timed instead; the whole takes 14 min a call"
    text = "\n".join(line.text for line in show(document))
    assert row["contestant"] in text
    assert "T=250" in text
    assert "200 ms" in text
