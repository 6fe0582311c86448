"""Clocks of a GPU: by NVML, by nvidia-smi, and said to be unknown where neither is there."""

from __future__ import annotations

import ctypes
import subprocess
from types import SimpleNamespace
from typing import Any

import broken
import devices
import fakes
import pytest
from runs import run

from multirec.bench.host.gpu_clocks import Gpu, State, Watch, gpu
from multirec.bench.measure import rounds
from multirec.bench.results.write import document


class Nvml:
    """The driver's library: a hot GPU at its power limit; what is not listed is not in this driver."""

    def __init__(self, init: int = 0, known: tuple[int | bytes, ...] = (0,)) -> None:
        self._init, self._known, self.asked = init, known, []

    def nvmlInit_v2(self) -> int:
        return self._init

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, handle: Any) -> int:
        return self._handle(index.value, handle)

    def nvmlDeviceGetHandleByUUID(self, name: Any, handle: Any) -> int:
        return self._handle(name.value, handle)

    def _handle(self, which: int | bytes, handle: Any) -> int:
        self.asked.append(which)
        handle._obj.value = 7
        return 0 if which in self._known else 6

    def nvmlDeviceGetClockInfo(self, handle: Any, kind: Any, value: Any) -> int:
        value._obj.value = {1: 1755, 2: 2619}[kind.value]
        return 0

    def nvmlDeviceGetTemperature(self, handle: Any, sensor: Any, value: Any) -> int:
        return 3

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: Any, value: Any) -> int:
        value._obj.value = 0x25
        return 0


def with_library(monkeypatch: pytest.MonkeyPatch, library: Any) -> None:
    def load(name: str) -> Any:
        if library is None:
            raise OSError(f"{name}: cannot open shared object file")
        return library

    monkeypatch.setattr(ctypes, "CDLL", load)


def with_program(monkeypatch: pytest.MonkeyPatch, said: str | None) -> None:
    def call(command: list[str], **_: Any) -> Any:
        if said is None:
            raise FileNotFoundError(command[0])
        return SimpleNamespace(stdout=said)

    monkeypatch.setattr(subprocess, "run", call)


def test_by_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with_library(monkeypatch, Nvml())
    found = gpu()
    assert (found.source, found.cheap) == ("NVML", True)
    assert found.ask() == State(1755, 2619, None, None, ["its power limit", "its heat"])


@pytest.mark.parametrize(("visible", "asked"), [("3,1", 3), ("GPU-5af", b"GPU-5af"), ("", 0)])
def test_it_is_the_first_gpu_that_may_be_used(monkeypatch: pytest.MonkeyPatch, visible: str, asked: Any) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    library = Nvml(known=(asked,))
    with_library(monkeypatch, library)
    assert gpu().source == "NVML"
    assert library.asked == [asked]


@pytest.mark.parametrize("library", [None, Nvml(init=9), Nvml(known=())])
def test_by_the_program(monkeypatch: pytest.MonkeyPatch, library: Any) -> None:
    with_library(monkeypatch, library)
    with_program(monkeypatch, "1980, 2619, 34, [N/A], 0x0000000000000004\n")
    found = gpu()
    assert (found.source, found.cheap) == ("nvidia-smi", False)
    assert found.ask() == State(1980, 2619, 34, None, ["its power limit"])


@pytest.mark.parametrize("said", [None, "", "No devices were found\n"])
def test_where_nobody_knows_it_says_so(monkeypatch: pytest.MonkeyPatch, said: str | None) -> None:
    with_library(monkeypatch, None)
    with_program(monkeypatch, said)
    found = Watch().end()
    assert found["source"].startswith("unknown: libnvidia-ml.so.1")
    assert (found["before"], found["after"], found["lowest_sm_mhz"], found["slowed_by"]) == (None, None, None, [])


def test_a_slow_way_is_asked_twice_alone() -> None:
    asked: list[int] = []
    watch = Watch(Gpu("nvidia-smi", lambda: asked.append(1)))
    for _ in range(5):
        watch.look()
    watch.end()
    assert len(asked) == 2


def test_a_run_on_a_gpu_keeps_its_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = iter([1980, *[1700] * 10_000])
    way = Gpu("NVML", lambda: State(next(clocks), 2619, 50, 100.0, []), cheap=True)
    monkeypatch.setattr(rounds, "Watch", lambda: Watch(way))
    monkeypatch.setattr(rounds, "GpuMemcpy", broken.NotLoaded)
    found = document(run(devices.SaysCuda()))["clocks"]
    assert found is not None
    assert (found["before"]["sm_mhz"], found["lowest_sm_mhz"]) == (1980, 1700)
    assert document(run(fakes.Fake()))["clocks"] is None
