"""What figures show: one panel for each mode and case, lines along what was swept, the same colour for a name."""

from __future__ import annotations

import copy
from base64 import b64decode
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree

import documents
import pytest

from multirec.bench.show.draw import figure
from multirec.bench.show.panels import METRICS, all_series, panels, swept_axes
from multirec.errors import ArgumentError

BIQUADS, SWEEP = documents.biquads(), documents.sweep()


def test_axes_are_swept_where_cases_differ_in_nothing_else() -> None:
    assert swept_axes([SWEEP]) == ["length"]
    assert swept_axes([BIQUADS]) == []
    assert swept_axes([documents.sweep("order", (1, 2, 4))]) == ["order"]
    # two named cases differ in much, so nothing was swept
    cases = [documents.case(), documents.case("long", base="long", length=99, channels=2)]
    named = documents.document([documents.cell(place, "numba", 1.0) for place in (0, 1)], cases)
    assert swept_axes([named]) == []


def test_a_sweep_is_one_panel_with_a_line_for_each_contestant() -> None:
    (panel,) = panels([SWEEP], "time", "length")
    assert [point.at for point in panel.series["numba"]] == [1000, 4000, 16000, 64000]
    # what was not timed has no point
    assert [point.at for point in panel.series["torchaudio"]] == [1000, 4000, 16000]
    # a copy of the least traffic takes as long whoever is asked
    assert panel.limit[16000] == pytest.approx(4 * 32 * 128 * 16000 / documents.MEMCPY)


def test_side_by_side_there_is_a_panel_for_each_mode_and_case() -> None:
    assert [panel.column for panel in panels([BIQUADS], "time", None)] == ["forward", "forward+backward"]
    assert len(panels([SWEEP], "time", None)) == 4
    (forward, _) = panels([BIQUADS], "ratio", None)
    assert "philtorch" not in forward.series
    assert (forward.limit_name, forward.limit) == ("scipy", {0.0: 1.0})
    value = forward.series["torchaudio"][0].value
    assert (value.low, value.high) == (0.5, 1.1)


def test_the_fraction_of_memcpy_turns_the_interval_around() -> None:
    value = panels([BIQUADS], "memcpy", None)[0].series["unfold_scan"][0].value
    assert value.low < value.middle < value.high


def test_runs_drawn_together_keep_their_names() -> None:
    other = copy.deepcopy(BIQUADS)
    other["run"]["name"] = "other"
    (forward, _) = panels([BIQUADS, other], "time", None)
    assert {"numba · example", "numba · other"} <= set(forward.series)
    series = all_series([BIQUADS, other])
    assert (series["numba · example"], series["numba · other"]) == ((0, 0), (0, 1))
    assert series["jax · other"].contestant == series["jax · example"].contestant > 0


def test_nothing_to_draw_is_an_error() -> None:
    nothing = documents.document([documents.untimed(0, "numba", "skipped", "")])
    with pytest.raises(ArgumentError, match="no cell of example has a value for 'time'"):
        figure([nothing], "time")


def test_figures_label_axes_units_and_lines() -> None:
    pytest.importorskip("matplotlib")
    drawn = figure([SWEEP], "time", "length")
    (axes,) = drawn.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert axes.get_xlabel() == "T, samples of a signal"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1k", "4k", "16k", "64k"]
    assert any(label.get_text() == "10 ms" for label in axes.get_yticklabels())
    assert {text.get_text() for text in axes.texts} == {"numba", "scipy", "torchaudio", "copy"}
    dots = figure([BIQUADS], "time").axes[0]
    assert [label.get_text() for label in dots.get_yticklabels()][-1] == "numba"
    # figures at the dots have the digits of their interval
    assert "200 ms" in {text.get_text() for text in dots.texts}


def test_ticks_end_in_no_zeros() -> None:
    pytest.importorskip("matplotlib")
    cells = [documents.cell(0, name, seconds) for name, seconds in (("scipy", 0.01), ("slow", 1.0))]
    document = documents.document(cells)
    document["ratios"] = [documents.ratio(cells[1], cells[0])]
    ticks = {label.get_text() for label in figure([document], "ratio").axes[0].get_xticklabels()}
    assert {"0.01×", "0.1×", "1×"} <= ticks


def test_a_name_has_one_colour_in_every_figure() -> None:
    pytest.importorskip("matplotlib")

    def colour(metric: str) -> str:
        (text,) = [text for text in figure([SWEEP], metric, "length").axes[0].texts if text.get_text() == "torchaudio"]
        return str(text.get_color())

    # scipy is the reference, so it has no line of its own among the ratios
    assert colour("time") == colour("ratio")


def test_labels_are_moved_apart_and_stay_in_order() -> None:
    pytest.importorskip("matplotlib")
    from multirec.bench.show.style import _apart

    heights = [0.0, 0.5, 0.9, 30.0, 31.0]
    placed = _apart(heights, 5.0)
    assert all(later - earlier >= 5.0 - 1e-9 for earlier, later in pairwise(placed))
    assert _apart([1.0, 50.0], 5.0) == [1.0, 50.0]


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img", "source"):
            self.open.append(tag)
        found = dict(attrs)
        self.images += [found[key] or "" for key in ("src", "srcset") if key in found]
        self.links += [found["href"] or ""] if "href" in found else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_html_report_is_whole_and_needs_nothing_else() -> None:
    pytest.importorskip("matplotlib")
    from multirec.bench.show.html import html_report

    text = html_report([SWEEP])
    page = Page(text)
    assert page.open == []
    assert page.links == []
    # each figure in light and dark
    assert len(page.images) == 2 * len(METRICS)
    for image in page.images:
        kind, _, data = image.partition(",")
        assert kind == "data:image/svg+xml;base64"
        assert ElementTree.fromstring(b64decode(data)).tag.endswith("svg")
    assert "too_slow: predicted from two short runs" in text
    assert "prefers-color-scheme: dark" in text


def test_the_html_report_escapes_what_it_shows() -> None:
    pytest.importorskip("matplotlib")
    from multirec.bench.show.html import html_report

    document = documents.document([documents.untimed(0, "<b>", "crash", "a < b & c")])
    text = html_report([document])
    assert "<b>" not in text
    assert "crash: a &lt; b &amp; c" in text
