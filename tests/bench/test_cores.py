"""A round's turns begin on one core, and no thread is kept there."""

from __future__ import annotations

import os
from collections.abc import Iterable

import pytest

from multirec.bench.host.cores import begin_on_core

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system places threads by itself")


def test_rounds_take_the_cores_in_turns_and_leave_them_all_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[set[int]]()
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {5, 2, 9})
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, cores: asked.append(set(cores)))
    for number in range(4):
        begin_on_core(number)
    assert asked[::2] == [{2}, {5}, {9}, {2}]
    assert asked[1::2] == [{2, 5, 9}] * 4


def test_a_core_that_is_refused_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before, allowed = os.sched_getaffinity(0), os.sched_setaffinity

    def refuse(pid: int, cores: Iterable[int]) -> None:
        if len(set(cores)) == 1:
            raise PermissionError("not this one")
        allowed(pid, cores)

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    begin_on_core(0)
    assert os.sched_getaffinity(0) == before
