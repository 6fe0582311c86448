"""What calls keep, what they need at their peak, and what happens where there is not enough."""

from __future__ import annotations

import gc
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import psutil
from work import BACKEND, bank, main, same, torch_bank

import multirec as mr
from multirec.adjoint import vjp
from multirec.bench.host import memory

PROCESS = psutil.Process()
MIB = 1 << 20
SHAPE = (8, 64, 1 << 16)
"""128 MiB in float32; expanded inputs and gradients need none of it."""


def numpy_without_memory() -> None:
    call, one = bank(), np.broadcast_to(np.float32(1), SHAPE)
    poles = np.full((64, 1), 0.5, "float32")

    def forward(x: np.ndarray) -> Any:
        return mr.recurrence(x, feedback=poles, backend=BACKEND)[0]

    def backward(x: np.ndarray, y: np.ndarray) -> Any:
        return vjp(x, x, feedback=poles, y=y, backend=BACKEND)

    want = call()
    backward(one[:1], forward(one[:1]))
    with _at_most(64 * MIB):
        assert _lacks(lambda: forward(one))
        assert same(call(), want)
    y = forward(one)
    with _at_most(64 * MIB):
        assert _lacks(lambda: backward(one, y))
        assert same(call(), want)
    assert backward(one, y).x.shape == SHAPE
    assert same(call(), want)


def torch_without_memory() -> None:
    import torch

    call = torch_bank()
    poles = torch.full((64, 1), 0.5, requires_grad=True)

    def forward(batch: int) -> tuple[Any, Any]:
        x = torch.ones(()).expand(batch, *SHAPE[1:]).requires_grad_()
        return x, mr.recurrence(x, feedback=poles, backend=BACKEND)[0]

    def backward(x: Any, y: Any) -> Any:
        return torch.autograd.grad(y, (x, poles), torch.ones(()).expand(y.shape), retain_graph=True)

    want = call()
    backward(*forward(1))
    with _at_most(64 * MIB):
        assert _lacks(lambda: forward(8))
        assert same(call(), want)
    both = forward(8)
    with _at_most(64 * MIB):
        assert _lacks(lambda: backward(*both))
        assert same(call(), want)
    assert backward(*both)[0].shape == SHAPE
    assert same(call(), want)


@contextmanager
def _at_most(more: int) -> Iterator[None]:
    """Refuse this process memory beyond what it has and `more`."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (PROCESS.memory_info().vms + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _lacks(call: Callable[[], Any]) -> bool:
    try:
        call()
    except MemoryError:
        return True
    return False


def numpy_leaks_nothing() -> None:
    _leaks_nothing([bank(length=700), bank(1, batch=1, channels=1, length=17000), bank(2, channels=5, length=64)])


def torch_leaks_nothing() -> None:
    small = torch_bank(1, channels=5, length=64), torch_bank(2, shared=True, length=700)
    _leaks_nothing([torch_bank(0, length=700), *small])


def new_shapes_leak_nothing() -> None:
    """What is remembered for a shape is bounded."""
    lengths = iter(range(20, 5000))
    _leaks_nothing([lambda: bank(batch=1, channels=3, length=next(lengths))()])


def _leaks_nothing(calls: list[Callable[[], Any]]) -> None:
    def hold() -> tuple[int, int, int]:
        gc.collect()
        return PROCESS.memory_info().rss, PROCESS.num_threads(), PROCESS.num_fds()

    for step in range(1000):
        calls[step % len(calls)]()
    before = hold()
    for step in range(1000):
        calls[step % len(calls)]()
    after = hold()
    assert after[1:] == before[1:], (before, after)
    # one kept result of the least call here, a thousand times, would be more
    assert after[0] - before[0] < 1 * MIB, (after[0] - before[0]) / MIB


def step_with_gradients_of_coefficients() -> None:
    for shared in (True, False):
        _training_step(shared, learnt=True)


def step_without_gradients_of_coefficients() -> None:
    for shared in (True, False):
        _training_step(shared, learnt=False)


def _training_step(shared: bool, learnt: bool) -> None:
    """Its peak is x, y and their gradients, and a tenth; x and the gradient of y are the caller's."""
    import torch

    for length in (100, 32000):
        x = torch.randn(4, 1 if shared else 128, length).requires_grad_()
        b, a = (torch.full((128, 2), 0.3, requires_grad=learnt) for _ in range(2))
        grad_y = torch.randn(4, 128, length)
        memory.reset_host_peak()
        y, _ = mr.recurrence(x, feedforward=b, feedback=a, backend=BACKEND)
        y.backward(grad_y)
    grown, moved = memory.host_growth(), x.nbytes + grad_y.nbytes
    assert grown is not None
    # y is as large as its gradient, the gradient of x as x
    assert moved * 0.9 < grown < moved + 0.1 * 2 * moved, (grown / MIB, moved / MIB)


def graph_without_y() -> None:
    """Only gradients of feedback need y again: where none is wanted, dropping y frees it."""
    import torch

    mr.memory.set_limit(0)
    x = torch.randn(4, 1, 32000).requires_grad_()
    for learnt in (False, True):
        taps = torch.full((128, 2), 0.3, requires_grad=learnt)
        y, state = mr.recurrence(x, feedback=taps, backend=BACKEND)
        size, total = y.nbytes, state.outputs.sum() + y[..., 0].sum()
        held = PROCESS.memory_info().rss
        del y
        freed = held - PROCESS.memory_info().rss
        assert (freed < 0.1 * size) if learnt else (freed > 0.9 * size), (freed, size)
        total.backward()


if __name__ == "__main__":
    main()
