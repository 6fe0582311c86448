"""A run in this process, on the clock of fakes: what it finds depends on nothing but what they say that they take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from broken import Death
from clocks import CLOCK
from devices import Copies

from multirec.bench.contestants import Contestant
from multirec.bench.host import clock
from multirec.bench.host.clock import Budget
from multirec.bench.measure import check, context, rounds, session, turn
from multirec.bench.measure.process import WorkerError, late
from multirec.bench.measure.session import Session
from multirec.bench.measure.worker import _diagnose


class InProcess:
    """A worker that is no process of its own; it asks `now` for the time that a request took."""

    forked = alive = False

    def __init__(self, contestant: Contestant, budget: Budget, *_: Any, now: Callable[[], float] = CLOCK) -> None:
        self.contestant, self.budget, self.now = contestant, budget, now

    def start(self) -> None:
        # the copies of one in several processes know nothing of each other
        self.alive, self.session, self.found = True, Session(copy(self.contestant)), None

    def loaded(self, limit: float) -> Any:
        if not self.alive:
            self.start()
        if self.found is None:
            self.found = self._answer(limit, "load", self.budget.allowance > 0)
        return self.found

    def ask(self, limit: float, method: str, *arguments: Any) -> Any:
        self.loaded(limit)
        return self._answer(limit, method, *arguments)

    def ahead(self, method: str, *arguments: Any) -> None:
        """Do nothing: there is nobody else."""

    def kill(self) -> None:
        self.alive = False

    def _answer(self, limit: float, method: str, *arguments: Any) -> Any:
        began, allowed = self.now(), self.budget.time_limit(limit)
        try:
            answer = getattr(self.session, method)(*arguments)
        except Death:
            self.kill()
            raise WorkerError("crash", "its process died (signal SIGABRT)") from None
        except Exception as error:
            raise WorkerError(*_diagnose(error)) from error
        if self.now() - began > allowed:
            CLOCK.now = began + allowed
            self.kill()
            raise late(allowed, limit)
        compiled, self.session.compiled = self.session.compiled, 0.0
        self.budget.exclude(compiled)
        return answer


def nothing(*_: Any) -> None:
    """Do nothing."""


@contextmanager
def machine() -> Iterator[None]:
    """Let runs be those of this process and clock, which begins at 0."""
    CLOCK.now = 0.0
    changes = [
        (context, "Worker", InProcess),
        (context, "share_imports", lambda *_: frozenset()),
        (clock, "nanoseconds", CLOCK.nanoseconds),
        (turn, "sleep", CLOCK.passes),
        (rounds, "Memcpy", Copies),
        (check, "compiled_files", lambda: 1),
        (session, "begin_on_core", nothing),
        (session, "gc", SimpleNamespace(collect=nothing, freeze=nothing, disable=nothing, enable=nothing)),
    ]
    with ExitStack() as stack:
        for module, name, value in changes:
            stack.enter_context(patch.object(module, name, value))
        yield
