"""The simulation of time over devices: bytes are those of summaries, times those of formulas, and the page has both."""

from __future__ import annotations

import runpy
from math import log2
from pathlib import Path

import numpy as np
import pytest

import multirec as mr
from multirec.distributed import summarize

ROOT = Path(__file__).parents[2]
NAMES = runpy.run_path(str(ROOT / "bench" / "mesh_cost.py"))
Work, Machine = NAMES["Work"], NAMES["Machine"]
MACHINE = Machine(latency=3.0, link=7.0, memory=11.0, step=0.5)
HELD, VARYING = Work("held", 2, 3, 2, 2, varies=False), Work("varying", 2, 3, 1, 2, varies=True)


@pytest.mark.parametrize("work", [HELD, VARYING, Work("gates", 1, 5, 0, 1, varies=True)], ids=lambda work: work.name)
def test_bytes_are_those_of_summaries(work):
    along = (work.batch, work.channels, 9) if work.varies else (work.channels,)
    rng = np.random.default_rng(0)
    taps = {"feedback": rng.uniform(-0.4, 0.4, (*along, work.p)).astype(np.float32)}
    if work.q:
        taps["feedforward"] = rng.standard_normal((*along, work.q + 1), np.float32)
    x = np.ones((work.batch, work.channels, 9), np.float32)
    summary = summarize(x, **taps, backend="reference")
    state = sum(part.nbytes for part in summary.end)
    _, after = mr.recurrence(x, **taps, backend="reference")
    held = 0 if work.varies else sum(part.nbytes for part in taps.values())
    assert sum(part.nbytes for part in after) == state
    sent = NAMES["sent"](work)
    # arrays are filled up to 16 bytes, and two of 16 go along
    assert 32 <= sent.forward - state - summary.transition.nbytes < 32 + 3 * 16
    assert 0 <= sent.backward - 2 * state < 4 * 16
    assert sent.gradients == held


def test_forms_cost_what_formulas_say():
    start, count, size = np.zeros(8), 8, 70.0
    message = 3.0 + size / 7.0
    np.testing.assert_allclose(NAMES["ring"](start, size, MACHINE), (count - 1) * message)
    np.testing.assert_allclose(NAMES["doubling"](start, size, MACHINE), 3 * 3.0 + 7 * size / 7.0)
    np.testing.assert_allclose(NAMES["gather_and_apply"](start, size, MACHINE), 3 * 3.0 + 70.0 + 8 * 0.5)
    np.testing.assert_allclose(NAMES["scan"](start, size, MACHINE), log2(count) * (message + 0.5 + 3.0))
    np.testing.assert_allclose(NAMES["added_up"](start, size, MACHINE), 14 * (3.0 + size / 8 / 7.0))
    np.testing.assert_allclose(NAMES["added_up"](start, 1.0, MACHINE), 6 * (3.0 + 1.0 / 7.0))


def test_devices_wait_for_the_slowest():
    late = np.array([0.0, 100.0, 0.0])
    for form in ("ring", "doubling"):
        assert NAMES[form](late, 1.0, MACHINE).min() > 100
    # a scan tells later devices alone what comes before them
    assert np.argmin(NAMES["scan"](late, 1.0, MACHINE)) == 0


@pytest.mark.parametrize("form", NAMES["FORMS"])
def test_without_messages_only_summaries_are_added(form):
    free = Machine(latency=0.0, link=np.inf, memory=1.0, step=0.0)
    taken = NAMES["cut"](HELD, 800, 8, free, form)
    numbers = sum(NAMES["alone"](HELD)) + sum(NAMES["beside"](HELD))
    assert taken == pytest.approx(100 * numbers)
    assert NAMES["cut"](HELD, 801, 8, free, form) == pytest.approx(101 * numbers)


@pytest.mark.long
def test_the_page_shows_what_the_program_prints():
    page = (ROOT / "docs" / "explanation" / "distributed-cost.md").read_text(encoding="utf-8")
    machine = Machine()
    for table in (NAMES["of_bytes"](), NAMES["of_lengths"](machine), NAMES["of_ways"](machine, 1 << 20)):
        assert table in page
