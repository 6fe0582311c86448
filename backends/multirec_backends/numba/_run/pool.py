"""A few threads that help the calling one, renewed after a fork.

Work is a function that takes items off a shared counter until none is left, so other threads may help and are never
needed: the caller starts at once, and at the end waits only for those that did begin. An interrupt may end that
wait: what helpers still write to then lives as long as their job.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from multirec.backend import after_fork, num_threads


class _Job:
    """Plain locks only: with a Condition, an interrupt at the wrong moment leaves it locked for good."""

    def __init__(self, work: Callable[[], None], memory: Any) -> None:
        self.work, self.memory = work, memory
        self.lock, self.done = threading.Lock(), threading.Lock()
        self.done.acquire()
        self.active, self.closed = 0, False
        self.error: BaseException | None = None

    def help(self) -> None:
        with self.lock:
            if self.closed:
                return
            self.active += 1
        try:
            self.work()
        except BaseException as error:
            self.error = error
        with self.lock:
            self.active -= 1
            if self.closed and not self.active:
                self.done.release()

    def close(self) -> None:
        with self.lock:
            self.closed = True
            waits = self.active > 0
        if waits:
            self.done.acquire()
        error = self.error
        # helpers that are busy elsewhere may hold this job for a while
        del self.work, self.memory, self.error
        try:
            if error is not None:
                raise error
        finally:
            del error  # it holds this frame


class _Pool:
    def __init__(self) -> None:
        self.jobs: SimpleQueue[_Job] = SimpleQueue()
        self.lock = threading.Lock()
        self.size = 0

    def grow(self, size: int) -> None:
        with self.lock:
            while self.size < size:
                thread = threading.Thread(target=self._serve, name=f"multirec-{self.size + 1}", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # no memory for another thread, or the interpreter is closing down
                    return
                self.size += 1

    def _serve(self) -> None:
        while True:
            self.jobs.get().help()


_pool = _Pool()


def run(work: Callable[[], None], most: int, memory: Any) -> None:
    """Call `work` on this thread and, at the same time, on up to `most` - 1 others.

    `memory` is whatever owns what the work reads and writes; it stays alive until the last helper is done.
    """
    helpers = min(most, num_threads()) - 1
    if helpers < 1:
        work()
        return
    pool = _pool
    if pool.size < helpers:
        pool.grow(helpers)
    job = _Job(work, memory)
    for _ in range(min(helpers, pool.size)):
        pool.jobs.put(job)
    try:
        work()
    finally:
        job.close()


def _renew() -> None:
    global _pool
    _pool = _Pool()


# threads do not survive a fork, and their queue may have been locked by one of them
after_fork(_renew)
