"""How far kernels err for filters that change over time, next to a run sample by sample in the same precision."""

from __future__ import annotations

from typing import Any

import numpy as np
from accuracy import FAMILY, SEEDS, Result
from emulated import RecordingDevice
from multirec_backends.cupy._kernel import Kernel

from multirec.backend import Needs, Operands, Problem, Taps

NAMES = ("y", "gradient of x", "gradient of feedback", "gradient of outputs")


def lattice(rng: Any, order: int, length: int, speed: float, most: float) -> Any:
    """Return feedback (T, order) of a lattice filter whose reflection coefficients walk at random, below `most`."""
    walk = np.cumsum(rng.standard_normal((length, order)) * speed, 0) + rng.standard_normal(order)
    a = np.zeros((length, 0))
    for k in np.moveaxis(np.tanh(walk) * most, 1, 0)[..., None]:
        a = np.concatenate([a + k * a[:, ::-1], k], 1)
    return -a


def family(length: int) -> dict[str, tuple[Any, Any]]:
    """Return feedforward (T, taps) and feedback: designed filters, what lies between two of them, and others."""
    rng = np.random.default_rng(1)
    designed = {name: filters for name, filters in FAMILY.items() if len(filters[1]) > 2}
    found = {name: (np.tile(b, (length, 1)), np.tile(-a[1:], (length, 1))) for name, (b, a) in designed.items()}
    second = [name for name, (_, a) in designed.items() if len(a) == 3]
    for index in range(6):
        one, other = rng.choice(second, 2, replace=False)
        part = (0.5 + 0.5 * np.sin(np.arange(length) * 2 * np.pi / (50 * 3**index)))[:, None]
        found[f"from {one} to {other}"] = tuple(
            part * u + (1 - part) * v for u, v in zip(found[one], found[other], strict=True)
        )
    for radius, speed in ((0.99, 1e-3), (0.999, 1e-2), (0.99, 0.1)):
        angle = 1.5 + 1.4 * np.sin(np.arange(length) * speed)
        a = np.stack([2 * radius * np.cos(angle), np.full(length, -radius * radius)], 1)
        found[f"resonator {radius}, swept by {speed}"] = np.tile([1.0, 0, -1], (length, 1)), a
    for order in (3, 4, 8, 12, 16):
        for speed, most in ((0.001, 0.95), (0.02, 0.7), (0.02, 0.95), (0.3, 0.7)):
            name = f"lattice of order {order}, {most}, walking by {speed}"
            found[name] = np.ones((length, 1)), lattice(rng, order, length, speed, most)
    return found


def stepped(b: Any, a: Any, x: Any, grad_y: Any, dtype: Any) -> tuple[Any, ...]:
    """Run rows sample by sample; b and a are (rows, T, taps), signals (rows, T). Returns what NAMES says."""
    b, a, x, grad_y = (values.astype(dtype) for values in (b, a, x, grad_y))
    (rows, length), p, q = x.shape, a.shape[2], b.shape[2] - 1
    y, later = np.zeros((length + p, rows), dtype), np.zeros((length + max(p, q), rows), dtype)
    before = np.concatenate([np.zeros((q, rows), dtype), x.T])
    for t in range(length):
        value = sum(b[:, t, j] * before[q + t - j] for j in range(q + 1))
        for k in reversed(range(p)):
            value = value + a[:, t, k] * y[p + t - 1 - k]
        y[p + t] = value
    grad_x, grad_a = np.zeros((length, rows), dtype), np.zeros((length, p, rows), dtype)
    for t in reversed(range(length)):
        value = grad_y[:, t]
        for k in range(min(p, length - 1 - t)):
            value = value + a[:, t + 1 + k, k] * later[t + 1 + k]
        later[t] = value
        for j in range(min(q, length - 1 - t) + 1):
            grad_x[t] += b[:, t + j, j] * later[t + j]
        grad_a[t] = y[t : t + p][::-1] * value
    state = np.zeros((p, rows), dtype)
    for n in range(p):
        for k in range(n, p):
            state[p - 1 - n] += a[:, k - n, k] * later[k - n]
    return y[p:].T, grad_x.T, grad_a.reshape(-1, rows).T, state.T


def computed(kernel: Kernel, b: Any, a: Any, x: Any, grad_y: Any) -> tuple[Any, ...]:
    """The same of a kernel."""
    (rows, length), dtype = x.shape, str(x.dtype)
    taps = [Taps(1, rows, length, values.shape[2], dtype) for values in (b, a)]
    problem = Problem("numpy", "cpu", dtype, dtype, dtype, "BCT", False, 1, rows, length, rows, *taps)
    p, q = problem.order, problem.input_order
    inputs, outputs = np.zeros((1, rows, q), dtype), np.zeros((1, rows, p), dtype)
    operands = Operands(x[None], b[None], a[None], inputs, outputs)

    def allocate(channels: int, kind: str) -> Any:
        return np.full((1, channels, length), np.nan, kind)

    y = kernel.forward(problem, operands, allocate)
    found = kernel.vjp(problem, operands, y, grad_y[None], None, Needs(*[True] * 5), allocate)
    return y[0], found.x[0], found.feedback[0].reshape(rows, -1), found.outputs[0]


def measured(device: RecordingDevice, dtype: str, length: int, names: Any) -> dict[str, list[Result]]:
    """Return how far each of NAMES is off for each filter, as the mean over seeds; nothing where a device records."""
    kernel, eps = Kernel(device), float(np.finfo(dtype).eps)
    results: dict[str, list[Result]] = {}
    filters = {name: value for name, value in family(length).items() if name in names}
    for sizes in sorted({(b.shape[1], a.shape[1]) for b, a in filters.values()}):
        mine = [name for name, (b, a) in filters.items() if (b.shape[1], a.shape[1]) == sizes]
        rng = np.random.default_rng(0)
        b, a = (np.repeat([filters[name][part] for name in mine], SEEDS, 0).astype(dtype) for part in (0, 1))
        x, grad_y = (rng.standard_normal(b.shape[:2]).astype(dtype) for _ in range(2))
        own = computed(kernel, b, a, x, grad_y)
        if type(device) is RecordingDevice:
            continue
        truth = stepped(b, a, x, grad_y, np.float64 if dtype == "float32" else np.longdouble)
        errors = []
        for found, usual, wanted in zip(own, stepped(b, a, x, grad_y, dtype), truth, strict=True):
            size, off, step = (
                np.sqrt(np.square(values.astype(np.longdouble)).reshape(len(mine), -1).mean(1))
                for values in (wanted, found - wanted, usual - wanted)
            )
            errors.append([Result(float(o / s), float(u / s), eps) for o, u, s in zip(off, step, size, strict=True)])
        results |= {name: [row[index] for row in errors] for index, name in enumerate(mine)}
    return results
