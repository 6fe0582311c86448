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
from multirec.bench.cases.reference import compute, kept
from multirec.bench.cases.signals import signals
from multirec.bench.cases.window import masked, windowed
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
    compute(case, [mode], tmp_path)
    arrays = masked(case, mode)
    outputs = contestant.outputs(contestant.prepare(case, arrays, mode)())
    own = contestant.own_reference(case, arrays, mode)
    verdict = judge(case, kept(tmp_path, mode) if own is None else windowed(case, own), outputs)
    assert verdict.fault == ""
    del outputs, own, arrays
    run = contestant.prepare(case, signals(case, mode), mode)
    benchmark.group = f"{case_name} {mode}"
    benchmark.extra_info["errors"] = verdict.errors

    def work() -> None:
        run()
        contestant.wait()

    benchmark(work)
