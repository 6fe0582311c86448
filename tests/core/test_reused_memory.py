"""Memory of large outputs that is used again."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import multirec as mr
from multirec import memory
from multirec._core.problem import Spec
from multirec._core.validate import Choices, build_call
from multirec._engine.plan import plan_for
from multirec._machine import available, groups
from multirec._memory import reuse
from multirec._memory.allocate import on_host
from multirec.backend import Allocate, BackendInfo, Operands
from multirec.errors import ArgumentError
from multirec.testing import poisoned

FLOAT = np.dtype("float32")
LARGE = reuse.LARGE
SHAPE = (2, 4, LARGE // 32)
"""Of LARGE bytes in float32."""


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    memory.set_limit(4 * LARGE)
    memory.clear()
    yield
    memory.set_limit(None)
    memory.clear()


def made(size: int = LARGE) -> np.ndarray:
    return on_host((size // 4,), FLOAT)


def start(array: np.ndarray) -> int:
    return array.ctypes.data


def test_an_output_comes_in_the_memory_of_one_that_nobody_holds() -> None:
    first = made()
    at = start(first)
    del first
    assert memory.retained() == LARGE
    assert start(made()) == at


def test_views_hold_an_output() -> None:
    first = made().reshape(2, -1)
    view, values = first[1:, ::2], memoryview(first)
    del first
    assert memory.retained() == 0
    del view
    assert memory.retained() == 0
    values.release()
    del values
    assert memory.retained() == LARGE


def test_two_that_are_held_share_nothing() -> None:
    arrays = [made() for _ in range(3)]
    for number, array in enumerate(arrays):
        array.fill(number)
    del arrays[0]
    arrays.append(made())
    arrays[-1].fill(7)
    assert [float(array[0]) for array in arrays] == [float(array[-1]) for array in arrays] == [1, 2, 7]


@pytest.mark.parametrize("dtype", ["float16", "float64", "complex64", "uint16"])
def test_it_serves_any_shape_and_data_type(dtype: str) -> None:
    made()
    other = np.dtype(dtype)
    array = on_host((2, LARGE // other.itemsize // 2), other)
    assert array.dtype == other
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert start(array) % 64 == 0
    assert memory.retained() == 0


@pytest.mark.parametrize("size", [LARGE + 4, 5 * LARGE // 4 - 4, 3 * LARGE, 2 * LARGE - 64])
def test_at_most_an_eighth_more_is_taken_than_needed(size: int) -> None:
    made(size)
    assert size <= memory.retained() < 1.125 * size


def test_small_outputs_are_not_kept() -> None:
    made(LARGE - 4)
    assert memory.retained() == 0


def test_the_oldest_goes_first() -> None:
    sizes = [LARGE, 2 * LARGE, LARGE, LARGE]
    arrays = [made(size) for size in sizes]
    places = [start(array) for array in arrays]
    while arrays:
        del arrays[0]
    assert memory.retained() == 4 * LARGE
    assert [start(array) for array in (made(), made(2 * LARGE))] == [places[3], places[1]]


def test_a_smaller_limit_lets_go() -> None:
    arrays = [made() for _ in range(3)]
    del arrays
    memory.set_limit(2 * LARGE + 5)
    assert memory.retained() == 2 * LARGE
    memory.set_limit(0)
    assert memory.retained() == 0


def test_nothing_is_kept_at_0() -> None:
    memory.set_limit(0)
    made()
    assert memory.retained() == memory.limit() == 0


def test_what_was_given_out_before_the_limit_was_set_obeys_it() -> None:
    array = made(2 * LARGE)
    memory.set_limit(LARGE)
    del array
    assert memory.retained() == 0


@pytest.mark.parametrize("limit", [-1, 1.0, "1 GiB", True, np.float32(3)])
def test_a_limit_is_a_whole_number(limit: object) -> None:
    with pytest.raises(ArgumentError, match=r"needs a whole number of bytes .* got .*Pass 0 to keep nothing\."):
        memory.set_limit(limit)  # type: ignore[arg-type]
    memory.set_limit(np.int64(LARGE))  # type: ignore[arg-type]
    assert memory.limit() == LARGE


@pytest.mark.parametrize(("there", "limit"), [(16 << 30, 2 << 30), (4 << 30, 512 << 20), ((4 << 30) - 1, 0), (None, 0)])
def test_the_default_is_a_part_of_what_is_available(
    there: int | None, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reuse, "available_bytes", lambda: there)
    memory.set_limit(None)
    assert memory.limit() == limit


GROUPS = {
    "version 2": ("0::/inner\n", "", ("memory.max", "memory.current", "inactive_file")),
    "version 1": (
        "4:cpu,memory:/\n3:memory:/inner\n0::/\n",
        "memory/",
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ),
}


@pytest.mark.parametrize("kind", GROUPS)
@pytest.mark.parametrize("where", ["", "inner/"])
def test_limits_of_containers_count(kind: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, folder, (limit, used, files) = GROUPS[kind]
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable: 8000 kB\n")
    (tmp_path / "own").write_text(own)
    group = tmp_path / "groups" / folder / where
    (tmp_path / "groups" / folder / "inner").mkdir(parents=True)
    monkeypatch.setattr(available, "_MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(groups, "_OWN", tmp_path / "own")
    monkeypatch.setattr(groups, "_ROOT", tmp_path / "groups")
    for name, text in ((limit, "5000"), (used, "3000"), ("memory.stat", f"anon 2\n{files} 700\n")):
        (group / name).write_text(text)
    assert available.available_bytes() == 2700
    (group / limit).write_text("max")
    assert available.available_bytes() == 8000 * 1024


def test_memory_that_a_kernel_leaves_unwritten_shows() -> None:
    made().fill(1)
    at, taps = Spec(SHAPE, "float32", "numpy", "cpu"), Spec((4, 1), "float32", "numpy", "cpu")
    plan = plan_for(build_call(at, None, taps, None, None, Choices("BCT")).problem, "reference")
    with poisoned():
        fresh = plan.allocate(SHAPE[1], "float32")
    assert memory.retained() == 0
    assert np.isnan(fresh).all()


def test_memory_is_let_go_of_before_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    made()
    empty = np.empty

    def short(shape: int, dtype: object) -> np.ndarray:
        if memory.retained():
            raise MemoryError
        return empty(shape, dtype)

    monkeypatch.setattr(reuse.np, "empty", short)
    array = made(3 * LARGE)
    assert array.nbytes == 3 * LARGE
    assert memory.retained() == 0


def test_threads_free_and_ask_at_once() -> None:
    wrong: list[object] = []

    def work(number: int) -> None:
        for turn in range(200):
            array = made(LARGE + LARGE // 8 * (turn % 3))
            array[::4096] = number
            if not (array[::4096] == number).all():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert 0 < memory.retained() <= memory.limit()


def test_garbage_that_is_collected_comes_back() -> None:
    gc.collect()
    for _ in range(3):
        circle: list[object] = [made()]
        circle.append(circle)
    del circle
    gc.collect()
    assert memory.retained() == 3 * LARGE


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no forks")
def test_a_forked_child_begins_with_nothing() -> None:
    made()
    held = made(2 * LARGE)
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        found = [memory.retained()]
        del held
        found.append(memory.retained())
        made()
        found.append(memory.retained())
        os.write(writer, repr(found).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 100).decode() == f"[0, 0, {LARGE}]"
    assert memory.retained() == LARGE


def test_a_process_ends_in_silence() -> None:
    code = """
import sys, numpy as np, multirec as mr
from multirec._memory.allocate import on_host
mr.memory.set_limit(1 << 30)
class Late:
    def __init__(self): self.array = on_host((1 << 20,), np.dtype("float32"))
    def __del__(self): self.array = on_host((1 << 20,), np.dtype("float32")) if on_host else None
kept, sys.kept, np.kept = [Late(), Late()], Late(), on_host((1 << 21,), np.dtype("float32"))
kept.append(kept)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""


class Gain:
    """A kernel that has but one tap, feedforward."""

    def forward(self, problem: Any, operands: Operands, allocate: Allocate) -> Any:
        y = allocate(problem.channels, problem.dtype)
        np.multiply(operands.x, operands.feedforward[..., 0], out=y)
        return y


def test_a_step_of_training_leaves_its_memory_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setitem(sys.modules, "made_gain", SimpleNamespace(kernel=Gain()))
    mr.register_backend(BackendInfo(name="gain", summary="one tap", kernel="made_gain:kernel", family="numpy"))
    try:
        x = torch.ones(SHAPE, requires_grad=True)
        places: list[int] = []
        for _ in range(3):
            y, _ = mr.recurrence(x, feedforward=torch.full((SHAPE[1], 1), 2.0), backend="gain")
            assert (y == 2).all()
            places.append(y.data_ptr())
            y.sum().backward()
            del y
    finally:
        mr.unregister_backend("gain")
    assert memory.retained()
    assert len(set(places)) == 1
