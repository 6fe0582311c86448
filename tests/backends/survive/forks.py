"""Forked children filter as their parent does, whatever the parent's other threads were doing."""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor

from work import BACKEND, bank, in_child, main, same, torch_bank

import multirec as mr


def bare_fork() -> None:
    call = bank()
    mr.set_num_threads(3)
    want = call()

    def child() -> bool:
        in_child(lambda: same(call(), want))
        # with helpers of its own
        return same(call(), want) and threading.active_count() == 3

    for _ in range(3):
        in_child(child)
        assert same(call(), want)


def fork_with_torch() -> None:
    """Forward under no_grad: the parent has used torch's own threads, which hang in a child."""
    import torch

    make = torch.Generator().manual_seed(0)
    shape = (4, 64, 8000)
    x = torch.randn(shape, generator=make)
    z = torch.randn(shape, generator=make, dtype=torch.complex64)
    half = x.bfloat16()
    gates = torch.rand((*shape, 1), generator=make, dtype=torch.float64)
    poles = torch.rand((64, 1), generator=make, dtype=torch.float64)

    def call() -> list[torch.Tensor]:
        """Plain; rounded along time; conjugated and negated lazily; in half precision, seen as its bits."""
        cases = ((x, poles), (x, gates), (z.conj(), poles), (z.conj().imag, poles), (half, poles))
        found = [mr.recurrence(signal, feedback=taps, backend=BACKEND)[0] for signal, taps in cases]
        return [y.view(torch.int16) if y.dtype is torch.bfloat16 else y for y in found]

    assert (x * 2 + 1).exp().isfinite().any()
    with torch.no_grad():
        want = call()
        in_child(lambda: same(call(), want))
        assert same(call(), want)


def fork_while_another_thread_filters() -> None:
    call, stop = bank(), threading.Event()
    want = call()

    def work() -> None:
        while not stop.is_set():
            assert same(call(), want)

    thread = threading.Thread(target=work)
    thread.start()
    for _ in range(20):
        in_child(lambda: same(call(), want))
        assert same(call(), want)
    stop.set()
    thread.join()


def fork_while_another_thread_compiles() -> None:
    """With an empty cache: the child needs the kernels that the parent's thread is at, and others."""
    calls = [bank(order=1, channels=8, length=50), bank(order=2, channels=8, length=50)]
    thread = threading.Thread(target=lambda: [call() for call in calls])
    thread.start()
    found = []
    while thread.is_alive():
        in_child(lambda: same(calls[1](), calls[1]()))
        found.append(calls[0]())
    thread.join()
    want = calls[0]()
    assert all(same(each, want) for each in found)
    assert found


def fork_while_another_thread_loads_the_backend() -> None:
    call = bank(channels=8, length=50)
    thread = threading.Thread(target=call)
    thread.start()
    in_child(lambda: same(call(), call()))
    thread.join()
    assert same(call(), call())


def workers() -> None:
    want = bank(1)()
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            assert all(same(got, want) for got in pool.map(_in_worker, range(4)))
        assert same(bank(1)(), want)


def _in_worker(_: int) -> object:
    return bank(1)()


def data_loader() -> None:
    """Workers run backward too."""
    from torch.utils.data import DataLoader

    dataset = _Filtered()
    want = [dataset[index] for index in range(4)]
    for method in ("fork", "spawn"):
        loader = DataLoader(dataset, batch_size=None, num_workers=2, multiprocessing_context=method)
        for _ in range(2 if method == "fork" else 1):
            assert all(same(got, right) for got, right in zip(loader, want, strict=True))
            assert same(dataset[0], want[0])


class _Filtered:
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> object:
        return torch_bank(index, shared=index % 2 == 1)()


def ignorant_platform() -> None:
    """Where nothing can be said before a fork, everything else works."""
    hook = os.register_at_fork
    del os.register_at_fork
    try:
        call = bank(channels=8, length=50)
        assert same(call(), call())
    finally:
        os.register_at_fork = hook


if __name__ == "__main__":
    main()
