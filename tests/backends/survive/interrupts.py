"""KeyboardInterrupt at any moment leaves a process that filters as before."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from work import bank, in_child, main, same

import multirec as mr


def in_a_long_call() -> None:
    call, long = bank(), bank(1, batch=16, length=60000)
    want = call()
    long()
    start = time.perf_counter()
    long()
    middle = (time.perf_counter() - start) / 3
    threading.Timer(middle, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        long()
    except KeyboardInterrupt:
        assert same(call(), want)
        return
    raise AssertionError("nothing interrupted the call")


def at_any_moment() -> None:
    """Alarms at times that sweep over calls which wait for helpers; then calls, and helpers, are as before."""
    call = bank(batch=2, length=2000)
    mr.set_num_threads(3)
    want = call()
    _interrupt(call, 100)
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda _: same(call(), want), range(8)))
    assert _helpers_meet()


def among_forks() -> None:
    call = bank(batch=2, length=2000)
    want = call()
    bad = []

    def fork() -> None:
        child = os.fork()
        if child == 0:
            signal.setitimer(signal.ITIMER_REAL, 0)
            os._exit(0 if same(call(), want) else 1)
        if os.waitpid(child, 0)[1]:
            bad.append(child)

    _interrupt(fork, 30)
    assert not bad
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda _: same(call(), want), range(8)))
    in_child(lambda: same(call(), want))


def while_compiling() -> None:
    """With an empty cache."""
    call = bank(batch=1, channels=8, length=50)
    for step in range(1, 12):
        _ring_in(0.02 * step, call)
    with ThreadPoolExecutor(1) as pool:
        want = pool.submit(call).result(30)
    assert same(call(), want)


def _interrupt(call: Callable[[], object], times: int) -> None:
    """Interrupt so many calls, anywhere between their start and their end."""
    delays, count = random.Random(0), 0
    for _ in range(50 * times):
        start = time.perf_counter()
        call()
        count += _ring_in((time.perf_counter() - start) * (0.02 + delays.random()), call)
        if count == times:
            return
    raise AssertionError(f"only {count} calls were interrupted")


def _ring_in(delay: float, call: Callable[[], object]) -> bool:
    """Call under an alarm that raises KeyboardInterrupt; return whether it came before the end."""

    def ring(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, delay)
        call()
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        return True
    return False


def _helpers_meet() -> bool:
    """Say whether both helpers still take jobs: three threads meet in one piece of work."""
    from multirec_backends.numba import _pool

    barrier = threading.Barrier(3)
    _pool.run(lambda: barrier.wait(20) and None, 3, None)
    return True


if __name__ == "__main__":
    main()
