"""What fools other harnesses is caught and named, and the exit code is that of something wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cheats
import fakes
import pytest
from runs import CASE, run

from multirec.bench.cases.case import Case, Mode
from multirec.bench.cases.window import drawn_window
from multirec.bench.contestants import Contestant, Float64, named
from multirec.bench.measure.request import PRESETS, Preset
from multirec.bench.measure.session import Session
from multirec.cli._exit import Exit, exit_of

EARLIER = "it returned the result of an earlier call"
BOTH: Mode = "forward+backward"


def met(contestant: Contestant, folder: Path, mode: Mode, case: Case = CASE, draw: int = 3, turns: int = 4) -> str:
    """Check a contestant and time it in this process, as a run does, and return what is wrong with it."""
    oracle, session, window = Session(Float64()), Session(contestant), drawn_window(case, draw)
    oracle.reference(case, [mode], window, draw, folder, 10.0)
    session.load(watch=False)
    fault = session.check(case, mode, window, folder).fault
    if fault:
        return f"check: {fault}"
    session.release()
    for number in range(turns):
        _, seen = session.time(case, mode, window.length, 10, True, number, True)
        assert seen is not None
        fault = oracle.verify(case, mode, window.length, seen)
        if fault:
            return f"timed: {fault}"
    return session.unchanged()


@pytest.mark.parametrize(
    ("contestant", "mode", "reason"),
    [
        (cheats.Cached(), "forward", f"timed: {EARLIER}"),
        (cheats.CachedGradient(), BOTH, "timed: right when it was checked, and in a timed call gradient of"),
        (cheats.Stale(), "forward", f"timed: {EARLIER}"),
        (cheats.Freed(), "forward", f"timed: {EARLIER}"),
        (cheats.Mutates(), "forward", "check: it changed its input: x"),
        (cheats.MutatesLater(), "forward", "it changed its input: feedforward"),
        (cheats.OnThread(), "forward", "timed: its result was still being written when the call had returned"),
        (cheats.ZeroesOne(), "forward", "check: values of y off by"),
        (cheats.SeesTheWindow(), "forward", "check: values of y off by"),
        (cheats.SeesTheWindow(), BOTH, "check: values of y off by"),
        (fakes.Fake(), "forward", ""),
        (fakes.Trains(), BOTH, ""),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_cheat_is_caught_and_named(contestant: Contestant, mode: Mode, reason: str, tmp_path: Path) -> None:
    found = met(contestant, tmp_path, mode)
    assert found.startswith(reason)
    assert reason or not found


def test_a_wrong_row_outside_of_the_window_has_its_channel_and_example_named(tmp_path: Path) -> None:
    # its wrong channel is the last, which this run does not draw
    draw = next(draw for draw in range(99) if 11 not in drawn_window(CASE, draw).channels)
    found = met(cheats.ZeroesOne(), tmp_path, "forward", draw=draw)
    assert "in channel 11 of example 1 (1 of 24 rows)" in found


def test_every_run_draws_its_channels() -> None:
    case = replace(CASE, channels=128)
    drawn = [drawn_window(case, draw).channels.tolist() for draw in range(50)]
    assert drawn[3] == drawn_window(case, 3).channels.tolist()
    assert len({channel for channels in drawn for channel in channels}) > 100


@pytest.mark.parametrize("layout", ["BCT", "BTC", "TBC"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_honest_backends_pass_in_every_layout(layout: str, dtype: str, tmp_path: Path) -> None:
    pytest.importorskip("llvmlite")
    case = replace(CASE, layout=layout, dtype=dtype, shared=False, length=40)
    (backend,) = named(("numba",))
    assert met(backend, tmp_path, BOTH, case, turns=2) == ""


@pytest.mark.parametrize("changes", [{}, {"shared": False, "time_varying": True, "order": 1}])
def test_honest_peers_in_jax_pass(changes: dict[str, object], tmp_path: Path) -> None:
    pytest.importorskip("jax")
    (peer,) = named(("jax_scan",))
    assert met(peer, tmp_path, BOTH, replace(CASE, length=40, **changes), turns=2) == ""


def test_a_cheat_has_no_time_and_the_exit_code_is_that_of_something_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    # a few rounds show it
    monkeypatch.setitem(PRESETS, "quick", Preset(20.0, 0.5, 8))
    results = run(fakes.Fake(), cheats.Cached(), cheats.MutatesLater(), seconds=20.0, preset="quick")
    honest, cached, mutates = results.cells
    assert (honest.status, honest.reason) == ("ok", "")
    assert (cached.status, cached.median) == (mutates.status, mutates.median) == ("bad_time", None)
    assert EARLIER in cached.reason
    assert exit_of(results) is Exit.WRONG
