"""Every contestant computes the case, and peers that are not installed say so."""

from __future__ import annotations

import pickle

import pytest

from multirec.bench._case import Case, Mode
from multirec.bench._oracle import Oracle, masked, windowed
from multirec.bench.contestants import Contestant, Memcpy, named, ready, registered

CASE = Case(batch=2, channels=9, length=60)


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


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("mode", ["forward", "forward+backward"])
@pytest.mark.parametrize("name", sorted(registered()))
def test_contestants_are_right(name: str, mode: Mode, order: int) -> None:
    case = Case(batch=2, channels=9, length=60, order=order)
    contestant = loaded(name)
    declined = contestant.declines(case, mode)
    if declined:
        assert (name, mode) in {("scipy", "forward+backward"), ("forum_a", mode)}, declined
        return
    result = contestant.prepare(masked(case, case.signals(mode)), mode)()
    outputs = contestant.outputs(result)
    assert set(outputs) == ({"y"} if mode == "forward" else {"y", "x", "feedforward", "feedback"})
    y = outputs["y"]
    verdict = Oracle(case).judge(mode, y.shape, str(y.dtype), windowed(case, outputs))
    assert verdict.fault == ""
    assert all(error < 1e-3 for error in verdict.errors.values())


@pytest.mark.parametrize("name", ["scipy", "torch_loop", "jax_scan", "one_by_one"])
def test_float64_stays_float64(name: str) -> None:
    case = Case(batch=2, channels=9, length=60, dtype="float64")
    contestant = loaded(name)
    outputs = contestant.outputs(contestant.prepare(case.signals("forward"), "forward")())
    y = outputs["y"]
    verdict = Oracle(case).judge("forward", y.shape, str(y.dtype), windowed(case, outputs))
    assert verdict.fault == ""
    assert verdict.errors["y"] < 1e-12


def test_autograd_refuses_version_a() -> None:
    contestant = loaded("forum_a")
    run = contestant.prepare(CASE.signals("forward+backward"), "forward+backward")
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        run()


def test_what_is_not_installed_is_named() -> None:
    contestants, absent = ready()
    assert {contestant.name for contestant in contestants} | set(absent) == set(registered())
    assert all(absent.values())


def test_a_close_name_is_suggested() -> None:
    with pytest.raises(ValueError, match="Did you mean 'scipy'"):
        named(("scipi",))
    assert [contestant.name for contestant in named(("scipy", "reference", "scipy"))] == ["scipy", "reference"]


def test_the_yardstick_copies() -> None:
    Memcpy().prepare(Case(channels=200).signals("forward"), "forward")()
