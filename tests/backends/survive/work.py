"""What the scenarios of this folder filter, and how one is run: `python forks.py NAME`, in a process of its own."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import multirec as mr
from multirec.adjoint import vjp

BACKEND = "numba"


def bank(seed: int = 0, batch: int = 4, channels: int = 64, length: int = 4000, order: int = 2) -> Callable[[], Any]:
    """Return a call that filters NumPy arrays, forward and gradients; `seed` chooses signals and filters."""
    rng = np.random.default_rng(seed)
    x, grad = rng.standard_normal((2, batch, channels, length)).astype("float32")
    b, a = rng.uniform(-0.4, 0.4, (2, channels, order)).astype("float32")

    def call() -> tuple[np.ndarray, ...]:
        y, state = mr.recurrence(x, feedforward=b, feedback=a, backend=BACKEND)
        found = vjp(grad, x, feedforward=b, feedback=a, y=y, backend=BACKEND)
        return y, *state, found.x, found.feedforward, found.feedback

    return call


def torch_bank(
    seed: int = 0, batch: int = 4, channels: int = 64, length: int = 4000, shared: bool = False
) -> Callable[[], Any]:
    """Return a call that filters torch tensors and runs backward with an expanded gradient."""
    import torch

    make = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, 1 if shared else channels, length, generator=make).requires_grad_()
    b, a = (torch.rand(channels, 2, generator=make).mul(0.4).requires_grad_() for _ in range(2))

    def call() -> tuple[Any, ...]:
        y, _ = mr.recurrence(x, feedforward=b, feedback=a, backend=BACKEND)
        return y.detach(), *torch.autograd.grad(y, (x, b, a), torch.ones((), dtype=y.dtype).expand(y.shape))

    return call


def same(got: Any, want: Any) -> bool:
    """Say whether two results have the same bits."""
    return len(got) == len(want) > 0 and all(
        np.array_equal(np.asarray(one), np.asarray(two)) for one, two in zip(got, want, strict=True)
    )


def in_child(check: Callable[[], bool]) -> None:
    """Fork; the child must find `check` true and end in time."""
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        good = False
        try:
            good = check()
        finally:
            os._exit(0 if good else 1)
    status = os.waitpid(child, 0)[1]
    assert status == 0, f"the child ended with {status}"


def main() -> None:
    """Run the scenario named on the command line; a process that hangs shows where."""
    faulthandler.dump_traceback_later(40, exit=True)
    sys.modules["__main__"].__dict__[sys.argv[1]]()
