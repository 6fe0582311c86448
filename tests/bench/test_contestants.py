"""Every contestant computes what it does not decline, and peers that are not installed say so."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from multirec.bench.cases.case import MODES, Case, Mode
from multirec.bench.cases.judge import judge
from multirec.bench.cases.named import NAMED, case_named
from multirec.bench.cases.reference import compute, kept, of_whole
from multirec.bench.cases.signals import signals
from multirec.bench.cases.window import cut_signals, drawn_window, windowed
from multirec.bench.contestants import Contestant, Memcpy, gpu, named, picked, ready, registered
from multirec.bench.contestants.memcpy import copied_bytes


def small(name: str, **changes: object) -> Case:
    case = replace(case_named(name), batch=2, channels=9, length=60, **changes)
    return replace(case, features=5) if case.features else case


CASES = [
    *(small(name) for name in NAMED),
    small("biquads", order=1),
    small("biquads", order=3),
    small("biquads", dtype="float64"),
    small("dense", layout="BTC"),
    small("dense", layout="TBC"),
    small("gated", layout="TBC", order=2),
    small("layer", layout="BTC"),
    small("streaming", input_taps=1),
    small("dense", input_taps=5),
]
HALVES = [
    small("biquads", dtype="float16"),
    small("streaming", dtype="bfloat16"),
    small("biquads", dtype="bfloat16", order=3),
    small("dense", dtype="float16", layout="TBC"),
    small("gated", dtype="bfloat16"),
    small("streaming", dtype="float16"),
]
CASES += HALVES
DRAW = 1


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> dict[Case, Path]:
    found = {}
    for place, case in enumerate(CASES):
        found[case] = tmp_path_factory.mktemp(f"reference{place}")
        compute(case, MODES, drawn_window(case, DRAW), DRAW, found[case], 10.0)
    return found


def loaded(name: str) -> Contestant:
    (contestant,) = named((name,))
    contestant = pickle.loads(pickle.dumps(contestant))
    if contestant.missing():
        pytest.skip(str(contestant.missing()))
    try:
        contestant.load()
    except ImportError as error:
        pytest.skip(str(error))
    return contestant


SLOW = {"numba_reuse", "jax", "jax_assoc", "jax_scan", "njit", "njit_parallel", "torch_scan"}
"""What they compile takes longer than all that the others compute."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long if name in SLOW else ()) for name in sorted(registered())]
)
def test_contestants_are_right(name: str, references: dict[Case, Path]) -> None:
    contestant = loaded(name)
    computed = 0
    # each compilation takes JAX about a second, and high orders far more
    few = ("biquads", "dense", "gated", "streaming", "complex")
    least = [each for each in CASES[: len(NAMED)] if each.base in few] + HALVES[:2]
    cases = least if contestant.compiles or name == "numba" else CASES
    for case in cases:
        for mode in MODES:
            if contestant.declines(case, mode) is not None:
                continue
            window = drawn_window(case, DRAW)
            arrays = cut_signals(case, mode, window)
            outputs = contestant.outputs(contestant.prepare(case, arrays, mode)())
            own = contestant.own_reference(case, arrays, mode)
            wanted = kept(references[case], mode) if own is None else of_whole(windowed(case, window, own))
            verdict = judge(case, window, wanted, outputs)
            assert (case.name, mode, verdict.fault) == (case.name, mode, "")
            computed += 1
    assert computed > 0


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.describe()}")
def test_whoever_declines_says_why(case: Case) -> None:
    contestants, _ = ready()
    for contestant in contestants:
        for mode in MODES:
            reason = contestant.declines(case, mode)
            assert reason is None or len(reason) > 10
    for mode in MODES:
        able = {contestant.name for contestant in contestants if contestant.declines(case, mode) is None}
        assert "reference" in able or case.features


@pytest.mark.parametrize("case", HALVES, ids=lambda case: f"{case.describe()}")
def test_half_types_are_for_backends_and_scipy(case: Case) -> None:
    able = {name for name, found in registered().items() if found.declines(case, "forward") is None}
    peers = {name for name, found in registered().items() if not found.backend}
    assert {"reference", "torch_loop", "unfold_scan", "numba", "jax"} <= able
    assert able & peers <= {"scipy", "scipy_sos"}


def test_peers_say_which_type_they_miss() -> None:
    half, bits = small("biquads", dtype="float16"), small("biquads", dtype="bfloat16")
    for name in ("torchaudio", "philtorch", "torchlpc", "loop_in_place", "jax_scan", "jax_assoc"):
        assert "x is half and they are float32" in str(registered()[name].declines(half, "forward"))
    assert registered()["scipy"].declines(half, "forward") is None
    assert "NumPy has no bfloat16" in str(registered()["scipy"].declines(bits, "forward"))


def test_half_types_may_be_held_in_float32_too() -> None:
    single, half = small("biquads"), small("biquads", dtype="float16")
    (contestant,) = named(("unfold_scan",))
    assert contestant.memory(half, "forward") == 1.5 * contestant.memory(single, "forward") + half.coefficient_bytes / 2


def test_only_layers_and_backends_run_the_layer() -> None:
    able = {
        name
        for name, found in registered().items()
        if not found.backend and not found.declines(small("layer"), "forward")
    }
    assert able == {"nn.Linear", "nn.RNN", "nn.GRU", "nn.LSTM"}
    assert "only the case 'layer'" in str(registered()["nn.GRU"].declines(small("biquads"), "forward"))


def test_autograd_refuses_the_loop_in_place() -> None:
    contestant, case = loaded("loop_in_place"), small("biquads")
    mode: Mode = "forward+backward"
    run = contestant.prepare(case, signals(case, mode), mode)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        run()


def test_what_is_not_installed_is_named() -> None:
    contestants, absent = ready()
    named_alone = {name for name, contestant in registered().items() if contestant.on_demand}
    assert named_alone == {"numba_reuse", "torch_scan"}
    assert {contestant.name for contestant in contestants} | set(absent) == set(registered()) - named_alone
    assert all(absent.values())


def test_a_close_name_is_suggested() -> None:
    with pytest.raises(ValueError, match="Did you mean 'scipy'"):
        named(("scipi",))
    assert [contestant.name for contestant in named(("scipy", "reference", "scipy"))] == ["scipy", "reference"]


def test_what_auto_picks_is_a_contestant() -> None:
    assert picked(case_named("biquads"), "cpu") in registered()


def test_memcpy_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    case, copied = Case(channels=2), list[tuple[int, int]]()
    run = Memcpy().prepare(case, signals(case, "forward"), "forward")
    monkeypatch.setattr(np, "copyto", lambda target, source: copied.append((target.nbytes, source.nbytes)))
    run()
    assert sum(target for target, _ in copied) == sum(source for _, source in copied) == copied_bytes(case)


def test_a_gpu_is_busy_while_a_timed_call_is_queued(monkeypatch):
    torch = pytest.importorskip("torch")
    log = []

    class Event(SimpleNamespace):
        def record(self):
            log.append("event")

        def elapsed_time(self, other):
            return 2.0

    monkeypatch.setattr(torch, "empty", lambda *_, **__: SimpleNamespace(zero_=lambda: log.append("fill")))
    for name, value in {
        "Event": Event,
        "synchronize": lambda: log.append("wait"),
        "get_device_properties": lambda index: SimpleNamespace(L2_cache_size=1),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    gpu._flusher.cache_clear()
    turn = SimpleNamespace(change=lambda: log.append("change"), look=lambda result: log.append("look"))
    sample = gpu.measure(lambda: log.append("call"), turn)
    gpu._flusher.cache_clear()
    warm_up, look = "fill wait fill wait change call", "change event call event look wait"
    cold, hot = f"fill {look}", f"fill call {look}"
    assert " ".join(name for name, _ in groupby(log)) == f"{warm_up} {cold} {hot} call wait"
    assert sample[:2] == (2e-3, 2e-3)
    assert sample.host > 0
