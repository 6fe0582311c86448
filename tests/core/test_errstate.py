"""A caller's np.errstate(all="raise") never meets arithmetic of ours."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

import multirec as mr
from multirec.adjoint import vjp

FEEDBACK = {
    "growing": [[3.0, -1.1]],
    "near the circle": [[1.9999, -0.9999]],
    "denormal": [[1e-30, 1e-42]],
    "beyond float32": [[1e200, 1.0]],
    "not a number": [[np.nan, 0.1]],
    "order 4": -np.poly([0.9995 * np.exp(0.001j), 0.9995 * np.exp(-0.001j), 0.999, 0.999]).real[None, 1:],
}
SIZES = {"ones": 1.0, "large": 3e38, "denormal": 1e-44, "infinite": np.inf}
DTYPES = ("float32", "complex64", "float16", "bfloat16", "float64")
FIRST = {("numba", "float32"), ("numba", "float16"), ("unfold_scan", "float32")}
"""What compiles or cuts time up is tried with few types."""
LENGTHS = {"numba": 3000, "unfold_scan": 700, "jax": 60, "reference": 9, "torch_loop": 9}


def signal(dtype: str, size: float, length: int) -> np.ndarray:
    with np.errstate(all="ignore"):
        kind = pytest.importorskip("ml_dtypes").bfloat16 if dtype == "bfloat16" else dtype
        return (np.random.default_rng(0).standard_normal((2, 1, length)) * size).astype(kind)


@pytest.mark.filterwarnings("ignore::multirec.errors.RoundingWarning")
@pytest.mark.parametrize(
    ("backend", "dtype"),
    # JAX starts without 64-bit types
    [
        pytest.param(*pair, marks=() if pair in FIRST or pair[0] in ("reference", "torch_loop") else pytest.mark.long)
        for pair in product(LENGTHS, DTYPES)
        if pair != ("jax", "float64")
    ],
)
def test_nothing_bare_is_raised(backend: str, dtype: str) -> None:
    if backend == "jax":
        pytest.importorskip("jax")
    feedforward = np.array([[1.0, -2.0, 1.0]])
    for taps in FEEDBACK.values():
        for size in SIZES.values():
            x, feedback = signal(dtype, size, LENGTHS[backend]), np.array(taps)
            options = {"feedforward": feedforward, "feedback": feedback, "backend": backend}
            with np.errstate(all="raise"):
                y, state = mr.recurrence(x, **options)
                mr.recurrence(x, **options, state=state)
                found = vjp(np.ones_like(y), x, **options, y=y, state=state)
            assert found.feedback.shape == feedback.shape


@pytest.mark.parametrize("backend", ["numba", "unfold_scan"])
def test_nothing_bare_is_raised_under_autograd_and_in_banks(backend: str) -> None:
    with np.errstate(all="raise"):
        for taps in FEEDBACK.values():
            bank = mr.RecurrenceBank.from_ba([1e-320, 1e300], [1e10, *(-tap for tap in taps[0])], backend=backend)
            bank(np.ones((1, 50), np.float32))
            feedback = torch.tensor(taps, requires_grad=True)
            x = torch.full((2, 1, 700), 1e30, requires_grad=True)
            mr.recurrence(x, feedback=feedback, backend=backend)[0].sum().backward()
