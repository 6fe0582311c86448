"""Other ways to compute W1 on the same card; each one is skipped with its reason where it is not installed."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch

Signals = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""x (B, 1, T), feedforward (C, 3), feedback (C, 2)."""


def torchaudio(signals: Signals) -> Callable[[], torch.Tensor]:
    """Filter C stacked copies of x, as its bank does."""
    from torchaudio.functional import lfilter

    x, b, a = signals
    denominator = torch.cat([torch.ones_like(a[:, :1]), -a], -1)
    return lambda: lfilter(x.expand(-1, b.shape[0], -1), denominator, b, clamp=False, batching=True)


def cupyx(signals: Signals) -> Callable[[], Any]:
    """Filter x once for each row of the bank."""
    import cupy
    from cupyx.scipy.signal import lfilter

    x, b, a = (cupy.from_dlpack(tensor.detach()) for tensor in signals)
    one = cupy.ones((1,), cupy.float32)
    filters = [(b[c], cupy.concatenate([one, -a[c]])) for c in range(len(b))]

    def work() -> Any:
        with cupy.cuda.ExternalStream(torch.cuda.current_stream().cuda_stream):
            return cupy.concatenate([lfilter(top, bottom, x) for top, bottom in filters], 1)

    return work


def jax_scan(signals: Signals) -> Callable[[], Any]:
    """One compiled scan over time; waits for JAX, whose streams torch's events do not see."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax

    x, b, a = (jax.numpy.asarray(tensor.detach().cpu().numpy()) for tensor in signals)

    def step(past: Any, now: Any) -> Any:
        x1, x2, y1, y2 = past
        y = b[:, 0] * now + b[:, 1] * x1 + b[:, 2] * x2 + a[:, 0] * y1 + a[:, 1] * y2
        return (now, x1, y, y1), y

    @jax.jit
    def run(x: Any) -> Any:
        zeros = jax.numpy.zeros((x.shape[0], 1)), jax.numpy.zeros((x.shape[0], b.shape[0]))
        _, y = jax.lax.scan(step, (zeros[0], zeros[0], zeros[1], zeros[1]), x[:, 0].T[..., None])
        return y.transpose(1, 2, 0)

    return lambda: run(x).block_until_ready()


PEERS: dict[str, Callable[[Signals], Callable[[], Any]]] = {
    "torchaudio": torchaudio,
    "cupyx lfilter, looped": cupyx,
    "jax lax.scan": jax_scan,
}
