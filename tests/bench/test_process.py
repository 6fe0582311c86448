"""A contestant's process: its death, its silence, and what it was asked ahead. No test here waits for a moment."""

from __future__ import annotations

from collections.abc import Iterator

import broken
import fakes
import pytest
from runs import CASE

from multirec.bench.contestants import Contestant
from multirec.bench.host.clock import Budget
from multirec.bench.measure.process import Worker, WorkerError

LONG = 600.0


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    found: list[Worker] = []
    yield found
    for worker in found:
        worker.kill()


def started(workers: list[Worker], contestant: Contestant) -> Worker:
    worker = Worker(contestant, Budget(LONG), frozenset())
    workers.append(worker)
    worker.loaded(LONG)
    return worker


def test_a_death_and_a_silence_cost_one_request_each(workers: list[Worker]) -> None:
    dies, sleeps = started(workers, broken.Dies()), started(workers, broken.Sleeps())
    with pytest.raises(WorkerError, match=r"its process died \(signal SIGABRT") as caught:
        dies.ask(LONG, "probe", CASE, "forward", 10)
    assert caught.value.status == "crash"
    with pytest.raises(WorkerError, match=r"no answer after 0\.05 s; its process was ended") as caught:
        sleeps.ask(0.05, "probe", CASE, "forward", 10)
    assert caught.value.status == "timeout"
    assert not dies.alive
    assert not sleeps.alive
    # the next request has a new process
    sleeps.ask(LONG, "cache")
    assert sleeps.alive


def test_what_was_asked_ahead_is_answered_in_its_order(workers: list[Worker]) -> None:
    worker = started(workers, fakes.Fake())
    for length in (10, 20):
        worker.ahead("probe", CASE, "forward", length)
    found = [worker.ask(LONG, "probe", CASE, "forward", length) for length in (10, 20)]
    assert all(len(each) == 2 for each in found)
    worker.ahead("probe", CASE, "forward", 30)
    # what nobody asks for any more is not taken for another answer
    assert worker.ask(LONG, "release") is None
