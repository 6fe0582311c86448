"""Many threads at once, inside other people's pools, and where no thread is to be had."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from work import bank, main, same, torch_bank

import multirec as mr


def sixteen() -> None:
    """Sixteen threads call the same and different banks at once, with gradients, from NumPy and torch."""
    calls = [bank(0), bank(1, channels=7), bank(2, batch=1, channels=1, length=40000), torch_bank(3)]
    calls += [torch_bank(4, shared=True), torch_bank(5, batch=1, channels=2, length=40000)]
    want = [call() for call in calls]
    barrier = threading.Barrier(16)

    def work(number: int) -> bool:
        barrier.wait()
        order = [(number + step) % len(calls) for step in range(2 * len(calls))]
        return all(same(calls[index](), want[index]) for index in order)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(work, range(16)))


def first_call_from_sixteen() -> None:
    """Nothing is loaded, planned or compiled yet when all of them call."""
    call, barrier = bank(channels=9, length=700), threading.Barrier(16)

    def work(_: int) -> object:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(work, range(16)))
    assert all(same(each, found[0]) for each in found)


def one_torch_thread() -> None:
    import torch

    want = torch_bank()()
    torch.set_num_threads(1)
    assert same(torch_bank()(), want)
    mr.set_num_threads(1)
    assert same(torch_bank()(), want)
    mr.set_num_threads(7)
    assert same(torch_bank()(), want)


def with_joblib() -> None:
    from joblib import Parallel, delayed

    calls = [bank(seed) for seed in range(4)]
    want = [call() for call in calls]
    for backend in ("threading", "loky", "multiprocessing"):
        found = Parallel(n_jobs=2, backend=backend)(delayed(_filter)(seed) for seed in range(4))
        assert all(same(one, two) for one, two in zip(found, want, strict=True))


def _filter(seed: int) -> object:
    return bank(seed)()


def no_more_threads() -> None:
    """Helpers are not needed: a call goes on alone, and finds helpers again later."""
    call, start = bank(), threading.Thread.start
    mr.set_num_threads(1)
    want = call()
    mr.set_num_threads(4)

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    threading.Thread.start = refuse
    assert same(call(), want)
    assert threading.active_count() == 1
    threading.Thread.start = start
    assert same(call(), want)
    assert threading.active_count() == 4


def end_while_filtering() -> None:
    """The interpreter ends although a thread, and its helpers, are in kernels."""
    call = bank(batch=16)

    def work() -> None:
        while True:
            call()

    call()
    threading.Thread(target=work, daemon=True).start()


if __name__ == "__main__":
    main()
