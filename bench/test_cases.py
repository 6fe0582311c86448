"""The cases of `multirec bench` under pytest-benchmark, in one process: for work on a kernel, with its history.

    pytest bench                                              numba on all cases
    pytest bench --contestant jax --case biquads --case dense
    pytest bench --benchmark-save=before; …; pytest bench --benchmark-compare

`multirec bench` is what compares contestants with each other: it interleaves them, and knows its own noise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from multirec.bench.cases.case import Mode
from multirec.bench.cases.judge import judge
from multirec.bench.cases.named import case_named
from multirec.bench.cases.reference import compute, kept, of_whole
from multirec.bench.cases.signals import signals
from multirec.bench.cases.window import cut_signals, drawn_window, windowed
from multirec.bench.contestants import Contestant, named


@pytest.fixture(scope="session")
def loaded() -> dict[str, Contestant]:
    """Contestants that are imported already."""
    return {}


def contestant_of(name: str, loaded: dict[str, Contestant]) -> Contestant:
    if name not in loaded:
        (contestant,) = named((name,))
        if contestant.missing():
            pytest.skip(str(contestant.missing()))
        contestant.load()
        loaded[name] = contestant
    return loaded[name]


def test_case(
    benchmark: Any, case_name: str, mode: Mode, contestant_name: str, loaded: dict[str, Contestant], tmp_path: Path
) -> None:
    case, contestant = case_named(case_name), contestant_of(contestant_name, loaded)
    declined = contestant.declines(case, mode)
    if declined:
        pytest.skip(declined)
    window = drawn_window(case, draw=0)
    compute(case, [mode], window, 0, tmp_path, 10.0)
    arrays = cut_signals(case, mode, window)
    outputs = contestant.outputs(contestant.prepare(case, arrays, mode)())
    own = contestant.own_reference(case, arrays, mode)
    wanted = kept(tmp_path, mode) if own is None else of_whole(windowed(case, window, own))
    verdict = judge(case, window, wanted, outputs)
    assert verdict.fault == ""
    del outputs, own, arrays
    run = contestant.prepare(case, signals(case, mode), mode)
    benchmark.group = f"{case_name} {mode}"
    benchmark.extra_info["errors"] = verdict.errors

    def work() -> None:
        run()
        contestant.wait()

    benchmark(work)
