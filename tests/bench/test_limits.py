"""Times that cannot be are found: below what the data takes to move, and with work that events do not see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cheats
import devices
import fakes
import pytest
from runs import run
from streams import Device

from multirec.bench.cases.case import Case
from multirec.bench.contestants import Contestant, Still, gpu
from multirec.bench.contestants import Run as Work
from multirec.bench.host import processor
from multirec.bench.measure.limits import least_bytes, too_fast, unseen_work
from multirec.bench.results.cells import Cell

CASE = Case()
BYTES = CASE.traffic("forward")
MIB = 1 << 20


def timed(device: str, seconds: float, mode: Any = "forward", **more: list[float]) -> Cell:
    return Cell("some", mode, device=device, samples=[seconds] * 3, **more)


@pytest.mark.parametrize(
    ("device", "mode", "of_copy", "cache", "right"),
    [
        ("cuda", "forward", 1.1, 0, True),
        ("cuda", "forward", 1.3, 0, False),
        # what is still in the cache need not have been written
        ("cuda", "forward", 1.3, 50 * MIB, True),
        ("cuda", "forward", 1.6, 50 * MIB, False),
        ("cuda", "forward", 1e6, 300 * MIB, True),
        ("cpu", "forward", 1.9, 0, True),
        ("cpu", "forward", 2.1, 0, False),
        ("cuda", "forward+backward", 0.55, 0, True),
        ("cuda", "forward+backward", 0.65, 0, False),
        ("cuda", "forward", 1e6, None, True),
    ],
)
def test_a_time_below_that_of_the_traffic_is_a_fault(
    device: str, mode: Any, of_copy: float, cache: int | None, right: bool
) -> None:
    rate = 3e12
    cell = timed(device, BYTES / (of_copy * rate), mode)
    fault = too_fast(CASE, cell, [0.9 * rate, rate], cache)
    assert (fault == "") == right
    assert right or "did not do all of the work" in fault
    assert too_fast(CASE, cell, [], cache) == ""


def test_traffic_counts_every_array_once() -> None:
    assert least_bytes(CASE, "forward+backward", 0) == 2 * BYTES < CASE.traffic("forward+backward")


def test_a_cache_of_several_dies_is_the_sum_of_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for cpu, (level, size, shared) in enumerate([("2", "512K", "0"), ("3", "32M", "0-1"), ("3", "32M", "2-3")]):
        folder = tmp_path / f"cpu{cpu}" / "cache" / "index0"
        folder.mkdir(parents=True)
        for name, text in (("level", level), ("size", size), ("shared_cpu_list", shared)):
            (folder / name).write_text(text + "\n")
    monkeypatch.setattr(processor, "_CPUS", tmp_path)
    assert processor.last_level_cache() == 64 * MIB
    (tmp_path / "cpu0" / "cache" / "index0" / "size").write_text("much")
    assert processor.last_level_cache() is None
    monkeypatch.setattr(processor, "_CPUS", tmp_path / "none")
    assert processor.last_level_cache() is None


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    torch = pytest.importorskip("torch")
    found = Device()
    for name, value in found.torch_names().items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch, "empty", lambda *_, **__: found.memory(1e-4))
    monkeypatch.setattr(gpu, "perf_counter", found.clock)
    gpu._flusher.cache_clear()
    yield found
    gpu._flusher.cache_clear()


def measured(work: Work) -> Cell:
    cell = Cell("some", "forward", device="cuda")
    for turn in range(3):
        cell.add(gpu.measure(work, Still()), turn, 0)
    return cell


def test_work_on_the_current_stream_is_seen(device: Device) -> None:
    for host, seconds in ((2e-5, 1e-3), (2e-3, 1e-4), (1e-5, 1e-6)):
        cell = measured(lambda host=host, seconds=seconds: device.call(host, seconds))
        assert cell.samples == pytest.approx([seconds] * 3)
        assert cell.wall == pytest.approx([max(host, seconds)] * 3, rel=0.2)
        assert unseen_work(cell) == ""


def test_work_on_another_stream_is_a_fault(device: Device) -> None:
    side = device.stream()

    def cheats() -> None:
        with side:
            device.call(2e-5, 1e-3)

    cell = measured(cheats)
    assert max(cell.samples) < 1e-6, "events on the current stream see it"
    assert "work outside the timed stream: calls in a row take 1.00 ms each" in unseen_work(cell)

    def waits() -> None:
        cheats()
        device.current.wait_stream(side)

    assert unseen_work(measured(waits)) == ""


@pytest.mark.parametrize(
    ("contestant", "reason"),
    [(cheats.Lazy(), "did not do all of the work"), (cheats.OnStreams(), "work outside the timed stream")],
)
def test_a_cheat_has_a_row_without_a_time(monkeypatch: pytest.MonkeyPatch, contestant: Contestant, reason: str) -> None:
    monkeypatch.setattr(devices.Copies, "cache", lambda self: 0)
    honest = fakes.Fake()
    cheat, bystander = run(contestant, honest).cells
    assert (cheat.status, bystander.status) == ("bad_time", "ok")
    assert reason in cheat.reason
    assert cheat.median is None
