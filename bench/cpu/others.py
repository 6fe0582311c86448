"""W6 to W8: a recurrent layer, blocks of a stream and small calls, and complex resonators."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy import signal

import multirec as mr
from multirec import nn

from .row import Row, copy, fresh_copy, leaves, noise, placed, quiet, stable_biquads, train


def w6(layout: str, backend: str) -> Row:
    torch.manual_seed(6)
    layer = nn.RecurrenceLayer(256, 256, order=2, layout=layout, backend=backend)
    linear, rnn = torch.nn.Linear(256, 256), torch.nn.RNN(256, 256, batch_first=layout == "BTC")
    shape = (1024, 32, 256) if layout == "TBC" else (32, 1024, 256)
    x, grad = torch.randn(shape, requires_grad=True), torch.randn(shape)
    modules: dict[str, tuple[torch.nn.Module, Callable[..., torch.Tensor]]] = {
        backend: (layer, lambda x: layer(x)[0]),
        "limit": (linear, linear),
        "nn.RNN": (rnn, lambda x: rnn(x)[0]),
    }
    row = Row(f"RecurrenceLayer(256→256), order 2, T=1024, B=32, {layout}; the limit is nn.Linear alone")
    for name, (module, call) in modules.items():
        row.forward[name] = quiet(call, x)
        inputs = [x, *module.parameters()]
        row.both[name] = lambda call=call, inputs=inputs: torch.autograd.grad(call(x), inputs, grad)
    return row


def w7(layout: str, backend: str) -> Row:
    b, a = stable_biquads(128)
    x, feedback = noise((1, 128, 256), layout, 7), -a[:, 1:].copy()
    bank = mr.RecurrenceBank(feedforward=b, feedback=feedback, layout=layout, backend=backend)
    taps = {"feedforward": torch.from_numpy(b), "feedback": torch.from_numpy(feedback)}
    torch_bank = mr.RecurrenceBank(**taps, layout=layout, backend=backend)
    tensor = torch.from_numpy(x)
    (_, state), (_, torch_state) = bank(x), torch_bank(tensor)
    row = Row(f"[1,128,256] chunks with state, one call, {layout}")
    row.forward["limit"] = copy(x)
    row.forward[backend] = lambda: bank(x, state)
    row.forward["from torch"] = quiet(torch_bank, tensor, torch_state)
    if layout == "BCT":
        zi = np.zeros((128, 1, 2), np.float32)
        row.forward["scipy (per filter)"] = lambda: [signal.lfilter(b[c], a[c], x[:, c], zi=zi[c]) for c in range(128)]
        add_small_calls(row, backend)
    return row


def add_small_calls(row: Row, backend: str) -> None:
    """Add calls on x[1, 4, 64], order 2, whose time is the cost of calling, beside those of a linear layer."""
    b, a = stable_biquads(4)
    x, feedback = np.ones((1, 4, 64), np.float32), -a[:, 1:].copy()

    def filtered(x: torch.Tensor, b: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        return mr.recurrence(x, feedforward=b, feedback=a, backend=backend)[0]

    inputs, linear = leaves(x, b, feedback), torch.nn.Linear(64, 64)
    grad = torch.ones(1, 4, 64)
    row.forward["x[1,4,64]"] = lambda: mr.recurrence(x, feedforward=b, feedback=feedback, backend=backend)
    row.forward["x[1,4,64] from torch"] = quiet(filtered, *inputs)
    row.forward["x[1,4,64] nn.Linear"] = quiet(linear, inputs[0])
    row.both["limit"] = copy(x)
    row.both["x[1,4,64] from torch"] = train(filtered, inputs, grad)
    whole = [inputs[0], *linear.parameters()]
    row.both["x[1,4,64] nn.Linear"] = lambda: torch.autograd.grad(linear(inputs[0]), whole, grad)


def w8(layout: str, backend: str) -> Row:
    rng = np.random.default_rng(8)
    shape = (8, 256, 4096)
    x, grad = (
        placed((rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64), layout)
        for _ in range(2)
    )
    pole = (0.95 * np.exp(1j * rng.uniform(0, 3, (256, 1)))).astype(np.complex64)
    inputs = leaves(x, pole)

    def resonators(x: torch.Tensor, pole: torch.Tensor) -> torch.Tensor:
        return mr.recurrence(x, feedback=pole, layout=layout, backend=backend)[0]

    row = Row(f"static complex64 order 1, [8,256,4096] as (B, C, T), {layout}")
    row.forward["limit"] = row.both["limit"] = copy(x)
    row.forward["fresh limit"] = fresh_copy(x)
    row.forward[backend] = quiet(resonators, *inputs)
    row.both[backend] = train(resonators, inputs, torch.from_numpy(grad))
    return row
