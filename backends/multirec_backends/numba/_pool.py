"""A few threads that help the calling one, renewed after a fork.

Work is a function that takes items off a shared counter until none is left, so helpers are welcome and never
needed: the caller starts at once, and at the end waits only for those that did begin.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue

from multirec.backend import num_threads


class _Job:
    def __init__(self, work: Callable[[], None]) -> None:
        self.work = work
        self.changed = threading.Condition()
        self.active, self.closed = 0, False
        self.error: BaseException | None = None

    def help(self) -> None:
        with self.changed:
            if self.closed:
                return
            self.active += 1
        try:
            self.work()
        except BaseException as error:
            self.error = error
        with self.changed:
            self.active -= 1
            self.changed.notify()

    def close(self) -> None:
        with self.changed:
            self.closed = True
            while self.active:
                self.changed.wait()
        if self.error is not None:
            raise self.error


class _Pool:
    def __init__(self) -> None:
        self.jobs: SimpleQueue[_Job] = SimpleQueue()
        self.lock = threading.Lock()
        self.size = 0

    def grow(self, size: int) -> None:
        with self.lock:
            while self.size < size:
                self.size += 1
                threading.Thread(target=self._serve, name=f"multirec-{self.size}", daemon=True).start()

    def _serve(self) -> None:
        while True:
            self.jobs.get().help()


_pool = _Pool()


def run(work: Callable[[], None], most: int) -> None:
    """Call `work` on this thread and, at the same time, on up to `most` - 1 others."""
    helpers = min(most, num_threads()) - 1
    if helpers < 1:
        work()
        return
    pool = _pool
    if pool.size < helpers:
        pool.grow(helpers)
    job = _Job(work)
    for _ in range(helpers):
        pool.jobs.put(job)
    try:
        work()
    finally:
        job.close()


def _renew() -> None:
    global _pool
    _pool = _Pool()


# threads do not survive a fork, and their queue may have been locked by one of them
os.register_at_fork(after_in_child=_renew)
