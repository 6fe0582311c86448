"""What only a device shows: streams, capture, a second GPU, large grids, first calls, memory that runs out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from multirec_backends.cupy._device import CudaDevice

import multirec as mr
from multirec import nn

from ..items import Items, SkippedError
from ..results import Row
from .peers import jax_on_gpu

MANY_CHANNELS = 70_001
MANY_ELEMENTS = (60_000, 40_000)
MOST_SECONDS = 1.0
"""Of the first call of a process."""


def call(x: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    y: torch.Tensor = mr.recurrence(x, feedback=a, backend="cupy")[0]
    return y


def signals(*shape: int, device: str = "cuda:0") -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(shape, device=device), 0.4 * torch.rand(shape[1], 2, device=device)


def other_stream() -> None:
    """A call on another stream waits for nothing else, and memory freed early is not reused too soon."""
    x, a = signals(4, 16, 5000)
    want = call(x, a)
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    with torch.cuda.stream(stream):
        for _ in range(20):
            copy = x.clone()
            got = call(copy, a)
            del copy
    stream.synchronize()
    assert torch.equal(got, want)


def capture() -> None:
    """A captured step replays on other values of x, forward and backward."""
    x, a = signals(4, 16, 5000)
    a.requires_grad_()
    replays(x, lambda: torch.autograd.grad(call(x, a).sum(), a))


def capture_of_layers() -> None:
    """A captured training step of a layer replays on other values of x."""
    x = torch.randn(4, 500, 16, device="cuda:0")
    layers = (
        nn.BandpassBank(16, 16000, layout="BTC", device="cuda:0"),
        nn.FilterBank(16, layout="BTC", device="cuda:0"),
        nn.FilterBank(16, order=4, layout="BTC", device="cuda:0"),
        nn.RecurrenceLayer(16, 16, layout="BTC", device="cuda:0"),
    )
    for layer in layers:
        replays(x, partial(gradients, layer, x))


def gradients(layer: torch.nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return torch.autograd.grad(layer(x)[0].square().sum(), list(layer.parameters()))


def replays(x: torch.Tensor, step: Callable[[], tuple[torch.Tensor, ...]]) -> None:
    """Raise unless a captured step finds on other values of x what the step itself does."""
    other = torch.randn_like(x)
    x.copy_(other)
    want = step()
    x.zero_()
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = step()
    x.copy_(other)
    graph.replay()
    torch.cuda.synchronize()
    torch.testing.assert_close(found, want)


def second_gpu() -> None:
    """Tensors of a second GPU are computed there, while the first is current."""
    if torch.cuda.device_count() < 2:
        raise SkippedError("this machine has one GPU")
    x, a = signals(2, 3, 700)
    torch.testing.assert_close(call(x.to("cuda:1"), a.to("cuda:1")).cpu(), call(x, a).cpu())


def many_rows() -> None:
    """More rows than a grid's second axis could count."""
    x, a = signals(3, MANY_CHANNELS, 5)
    torch.testing.assert_close(call(x, a)[1, -1:].cpu(), call(x[1:2, -1:], a[-1:])[0].cpu())


def many_elements() -> None:
    """More elements than 31 bits count."""
    channels, length = MANY_ELEMENTS
    x = torch.randn(1, 1, length, device="cuda").expand(1, channels, length)
    a = 0.4 * torch.rand(channels, 2, device="cuda")
    y = call(x, a)
    torch.testing.assert_close(y[:, -1:], call(x[:, -1:], a[-1:]))


def views() -> None:
    """Misaligned, strided and expanded views are read as they are, to the same bits as aligned copies."""
    shape = (4, 16, 5000)
    _, a = signals(*shape)
    shifted = torch.randn(4 * 16 * 5000 + 1, device="cuda")[1:].view(shape)
    strided = torch.randn(4, 16, 10_000, device="cuda")[..., ::2]
    expanded = torch.randn(4, 16, 1, device="cuda").expand(shape)
    for x in (shifted, strided, expanded):
        assert torch.equal(call(x, a), call(x.contiguous().clone(), a))


def cupy_arrays() -> None:
    """CuPy arrays on a stream that is not the default one, and CuPy's own error when memory runs out."""
    import cupy

    # not drawn by CuPy, which needs one more library for that
    x = cupy.asarray(np.random.default_rng(0).standard_normal((4, 16, 5000), np.float32))
    a = cupy.full((16, 2), 0.4, cupy.float32)
    want, _ = mr.recurrence(x, feedback=a, backend="cupy")
    cupy.cuda.Device(0).synchronize()
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        got, _ = mr.recurrence(x.copy(), feedback=a, backend="cupy")
    stream.synchronize()
    assert bool((got == want).all())
    try:
        mr.recurrence(cupy.broadcast_to(x[:1, :1, :1], (1, 1 << 20, 1 << 22)), feedback=a[:1], backend="cupy")
    except cupy.cuda.memory.OutOfMemoryError:
        return
    raise AssertionError("16 TiB were found")


def jax_arrays() -> None:
    """JAX arrays come and go without a copy through the host, and none is given away while the kernel reads it."""
    jax = jax_on_gpu()
    x, a = signals(4, 16, 5000)
    want = call(x, a).cpu().numpy()
    there, feedback = jax.numpy.asarray(x.cpu().numpy()), a.cpu().numpy()
    for _ in range(20):
        y, state = mr.recurrence(there + 0, feedback=feedback, backend="cupy")
        jax.numpy.full(there.shape, jax.numpy.nan).block_until_ready()
        assert y.devices() == {jax.devices()[0]}
        assert bool((jax.device_get(y) == want).all())
    assert bool((jax.device_get(state.outputs) == want[..., -2:]).all())


def jax_bfloat16() -> None:
    """JAX's bfloat16 reaches the kernel, in the layout of transformers."""
    jax = jax_on_gpu()
    x, a = signals(4, 16, 5000)
    there = jax.numpy.asarray(x.cpu().numpy()).astype(jax.numpy.bfloat16).swapaxes(1, 2)
    y, _ = mr.recurrence(there, feedback=a.cpu().numpy(), layout="BTC", backend="cupy")
    want = call(x, a).cpu().numpy().swapaxes(1, 2)
    assert y.dtype == jax.numpy.bfloat16
    assert abs(jax.device_get(y.astype(jax.numpy.float32)) - want).max() < 0.05 * abs(want).max()


def no_memory() -> None:
    """The framework's own error, and a process that goes on."""
    x, a = torch.empty(1, 1, 1, device="cuda").expand(1, 1 << 20, 1 << 22), torch.zeros(1, 2, device="cuda")
    try:
        call(x, a)
    except torch.OutOfMemoryError:
        many_rows()
    else:
        raise AssertionError("16 TiB were found")


def first_call() -> Row:
    """With a warm cache on disk the first call of a new process takes less than a second, imports not counted."""
    program = (
        f"import gpu.steps, sys, torch, time, multirec as mr{'' if CudaDevice().own else ', cupy'}\n"
        "x, a = torch.randn(4, 16, 5000, device='cuda'), torch.full((16, 2), 0.4, device='cuda')\n"
        "torch.cuda.synchronize(); start = time.perf_counter()\n"
        "mr.recurrence(x, feedback=a, backend='cupy'); torch.cuda.synchronize(); print(time.perf_counter() - start)\n"
        "print(*({'cupy', 'cuda.bindings'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program]
    printed = subprocess.check_output(command, cwd=Path(__file__).parents[2], text=True, timeout=25)
    seconds, *imported = printed.split()
    return {
        "seconds": float(seconds),
        "imported": imported,
        "status": "ok" if float(seconds) < MOST_SECONDS else "failed",
    }


CHECKS: tuple[Callable[[], Row | None], ...] = (
    other_stream, capture, capture_of_layers, second_gpu, many_rows, many_elements, views, cupy_arrays, jax_arrays,
    jax_bfloat16, no_memory, first_call,
)  # fmt: skip


def passed(check: Callable[[], Row | None]) -> Iterator[Row]:
    """Make a check, which raises what is wrong, or returns it."""
    yield check() or {}


ITEMS: Items = {check.__name__: partial(passed, check) for check in CHECKS}
