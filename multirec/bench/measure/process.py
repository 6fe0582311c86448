"""The parent's end of a worker: start, ask with a time limit, notice its death, restart."""

from __future__ import annotations

import multiprocessing
import signal
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from ..cases.case import Mode
from ..contestants import Contestant
from ..host import interrupt
from ..host.clock import Budget
from ..results.format import Status
from .worker import serve

# the fork server imports it once, before any thread or GPU is touched; JAX must not be forked
_LONGEST = frozenset({"torch"})
# what autograd imports in its first call with a gradient that is given
_OF_GRADIENTS = "torch.fx.experimental.symbolic_shapes"
_ADVICE = "raise --time, or name fewer with -b"
NO_TIME = f"no time was left for it; {_ADVICE}"


class WorkerError(Exception):
    """A request was not answered with a value; `status` and `reason` go into the cell's row."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


def share_imports(contestants: Iterable[Contestant], modes: Sequence[Mode]) -> frozenset[str]:
    """Let processes be forked from one that has imported what takes longest, and return what that is.

    Contestants that do not need it are not forked: they would wait for it.
    """
    shared = _LONGEST & {module for contestant in contestants for module in contestant.requires}
    if _can_fork():
        more = [_OF_GRADIENTS] if "torch" in shared and set(modes) != {"forward"} else []
        modules = ["multirec.bench.measure.worker", *shared, *more]
        multiprocessing.get_context("forkserver").set_forkserver_preload(modules)
    return shared


def _can_fork() -> bool:
    return "forkserver" in multiprocessing.get_all_start_methods()


def _context(forked: bool) -> ForkServerContext | SpawnContext:
    return multiprocessing.get_context("forkserver") if forked else multiprocessing.get_context("spawn")


def late(allowed: float, limit: float) -> WorkerError:
    """Return what it is called that there was no answer within `allowed` seconds of the `limit` that it has."""
    if allowed < limit:
        # the budget ended, not the contestant
        return WorkerError("no_time_left", f"cut off by the end of the budget; {_ADVICE}")
    return WorkerError("timeout", f"no answer after {limit:.3g} s; its process was ended")


class Worker:
    """A disposable process for one contestant. After a death the next request starts another one.

    Its first compilations are taken out of `budget`, which no answer is awaited beyond. `shared` is what
    `share_imports` returned.
    """

    def __init__(self, contestant: Contestant, budget: Budget, shared: frozenset[str]) -> None:
        self.contestant, self.budget = contestant, budget
        self.forked = _can_fork() and shared <= set(contestant.requires)
        self._process: BaseProcess | None = None
        self._asked: list[tuple[Any, ...]] = []

    @property
    def alive(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    def start(self) -> None:
        """Start the process and let it import; does not wait."""
        context = _context(self.forked)
        self._folder = tempfile.TemporaryDirectory(prefix="multirec-bench-", ignore_cleanup_errors=True)
        self._said = Path(self._folder.name) / "said.txt"
        self._connection, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, str(self._said), self.contestant), daemon=True)
        with interrupt.shielded():
            process.start()
        theirs.close()
        self._process = process
        self.tell("load", self.budget.allowance > 0)

    def tell(self, method: str, *arguments: Any) -> None:
        """Send a request without waiting for the answer."""
        try:
            self._connection.send((method, arguments))
        except OSError:
            raise self._death() from None

    def answer(self, limit: float) -> Any:
        """Return the answer to the oldest request; raise `WorkerError` if there is none within `limit` seconds."""
        allowed = self.budget.time_limit(limit)
        wakeup = interrupt.wakeup()
        try:
            interrupt.check()
            ready = wait([self._connection, *([] if wakeup is None else [wakeup])], allowed)
            interrupt.check()
            if self._connection not in ready:
                self.kill()
                raise late(allowed, limit)
            outcome, *values = self._connection.recv()
        except (EOFError, OSError):
            raise self._death() from None
        if outcome == "failed":
            raise WorkerError(*values)
        value, compiled = values
        self.budget.exclude(compiled)
        return value

    def loaded(self, limit: float) -> Any:
        """Start if need be, and return what `load` answered."""
        if self._process is None:
            self.start()
        return self.answer(limit)

    def ask(self, limit: float, method: str, *arguments: Any) -> Any:
        """Send a request and return its answer, in a new process if the last one died."""
        if self._process is None:
            self.loaded(limit)
        while self._asked:
            # what was asked ahead is answered first
            asked, self._asked = self._asked[0], self._asked[1:]
            found = self.answer(limit)
            if asked == (method, *arguments):
                return found
        self.tell(method, *arguments)
        return self.answer(limit)

    def ahead(self, method: str, *arguments: Any) -> None:
        """Send a request that will be asked for, in this order, so that it is worked on meanwhile."""
        if self._process is not None and (method, *arguments) not in self._asked:
            # of a process that has died the next answer says so
            with suppress(OSError):
                self._connection.send((method, arguments))
                self._asked.append((method, *arguments))

    def kill(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._asked.clear()
            self._process = None
            self._connection.close()
            self._folder.cleanup()

    def _death(self) -> WorkerError:
        assert self._process is not None
        self._process.join(5.0)
        code = self._process.exitcode or 0
        lines = self._said.read_text(errors="replace").strip().splitlines() if self._said.exists() else []
        self.kill()
        if code < 0 and signal.Signals(-code).name == "SIGKILL":
            return WorkerError("oom", "its process was killed, most likely for memory")
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return WorkerError("crash", f"its process died ({how})" + (f": {lines[-1]}" if lines else ""))
