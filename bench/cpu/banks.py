"""W1 to W4: banks of filters whose coefficients stay, and the peers that compute them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from scipy import signal

import multirec as mr

from .row import Call, Row, copy, fill, fresh_copy, leaves, noise, quiet, stable_biquads, train, warm_fill


def bank(
    about: str, shape: tuple[int, int, int], channels: int, b: np.ndarray, a: np.ndarray, layout: str, backend: str
) -> Row:
    """Return a row of x whose shape is (batch, 1 or channels, time)."""
    x = noise(shape, layout, 1)
    grad = torch.from_numpy(noise((shape[0], channels, shape[2]), layout, 2))
    y_shape, inputs, dense = tuple(grad.shape), leaves(x, b, -a[:, 1:]), shape[1] != 1

    def filtered(x: torch.Tensor, b: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        return mr.recurrence(x, feedforward=b, feedback=a, layout=layout, backend=backend)[0]

    row = Row(f"{about}, {layout}")
    # a fill of new memory is the limit where there is hardly anything to read
    limits = {"limit": copy(x), "fresh limit": fresh_copy(x)} if dense else {"limit": fill(y_shape)}
    row.forward |= limits if dense else limits | {"warm fill": warm_fill(y_shape)}
    row.forward[backend] = quiet(filtered, *inputs)
    row.both[backend] = train(filtered, inputs, grad)
    row.both["y.sum()"] = lambda: torch.autograd.grad(filtered(*inputs).sum(), inputs)
    row.both["limit"] = backward_limit(y_shape, dense)
    if layout == "BCT":
        if shape[0] * channels <= 8192:
            row.forward["scipy"] = lambda: [
                signal.lfilter(b[c], a[c], x[:, c if dense else 0]) for c in range(channels)
            ]
        for name, peer in peers():
            row.forward[name] = quiet(peer, *inputs)
            row.both[name] = train(peer, inputs, grad)
    return row


def backward_limit(y_shape: tuple[int, ...], dense: bool) -> Call:
    """Return the least traffic of a training step: y written, its gradient read, and for a dense x both again."""
    source, target = np.ones(y_shape, np.float32), np.empty(y_shape, np.float32)

    def move() -> None:
        np.empty(y_shape, np.float32).fill(1)
        if dense:
            np.add(source, source, out=target)
        source.sum()

    return move


def peers() -> Iterator[tuple[str, Callable[..., torch.Tensor]]]:
    try:
        from torchaudio.functional import lfilter
    except (ImportError, OSError):
        return

    def torchaudio(x: torch.Tensor, b: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        a = torch.cat([torch.ones_like(a[:, :1]), -a], -1)
        wide = x.expand(-1, b.shape[0], -1)
        length = max(a.shape[-1], b.shape[-1])
        b, a = (torch.nn.functional.pad(taps, (0, length - taps.shape[-1])) for taps in (b, a))
        return lfilter(wide, a, b, clamp=False)

    yield "torchaudio", torchaudio


def w1(layout: str, backend: str) -> Row:
    about = "x[32,16000] shared → y[32,128,16000], order 2"
    return bank(about, (32, 1, 16000), 128, *stable_biquads(128), layout, backend)


def w2(layout: str, backend: str) -> Row:
    return bank("x[32,128,16000], order 2", (32, 128, 16000), 128, *stable_biquads(128), layout, backend)


def w3(layout: str, backend: str) -> Row:
    return bank("x[2,10000000], order 2", (1, 2, 10_000_000), 2, *stable_biquads(2), layout, backend)


def w4(layout: str, backend: str) -> Row:
    rng = np.random.default_rng(4)
    roots = 0.8 * rng.random((32, 8)) * np.exp(1j * np.pi * rng.random((32, 8)))
    a = np.stack([np.poly(np.concatenate([r, r.conj()])).real for r in roots]).astype(np.float32)
    b = rng.standard_normal((32, 17), dtype=np.float32)
    return bank("x[16,1,48000] → [16,32,48000], order 16", (16, 1, 48000), 32, b, a, layout, backend)
