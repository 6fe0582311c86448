"""The kernel against the oracle: pieces and blocks, rounding, overflow, and the user's settings."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from multirec_backends.jax import _pieces, _solve, _steps

import multirec as mr
from multirec.adjoint import vjp


def second_order(radius, angle, dtype="float32"):
    radius, angle = np.broadcast_arrays(radius, angle)
    return np.stack([2 * radius * np.cos(angle), -(radius**2)], -1).astype(dtype)


def both(x, **arguments):
    """Return y of the oracle, in double precision, and of the kernel."""
    wide = {name: part.astype(float) if isinstance(part, np.ndarray) else part for name, part in arguments.items()}
    expected, _ = mr.recurrence(x.astype(float), **wide, backend="reference")
    return expected, mr.recurrence(x, **arguments, backend="jax")[0]


@pytest.mark.parametrize(("kind", "order"), [("static", 2), ("per_example", 1), ("static", 20), ("time_varying", 2)])
def test_pieces_and_blocks(kind, order, blocked, monkeypatch):
    monkeypatch.setattr(_pieces, "_PIECE", 2000)
    monkeypatch.setattr(_pieces, "_SMALL", 1)
    monkeypatch.setattr(_solve, "_STEPPED", 2)
    generator = np.random.default_rng(0)
    reverse = order != 2
    axes = {"static": (4,), "per_example": (6, 4), "time_varying": (1, 4, 333)}[kind]
    x, b = generator.standard_normal((6, 1, 333)), generator.standard_normal((4, 3))
    a = generator.standard_normal((*axes, order)) / (5 * order)
    state = mr.State(generator.standard_normal((6, 1, 2)), generator.standard_normal((6, 4, order)))
    expected, y = both(x, feedforward=b, feedback=a, state=state, reverse=reverse)
    np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-10)
    grad_y = generator.standard_normal(y.shape)
    given = {"feedforward": b, "feedback": a, "state": state, "reverse": reverse}
    found, wanted = (vjp(grad_y, x, **given, backend=name) for name in ("jax", "reference"))
    for got, want in zip([*found[:3], *found.state], [*wanted[:3], *wanted.state], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("order", "length"), [(1, 1), (2, 4), (7, 5), (1, 333), (3, 333)])
def test_steps(order, length, monkeypatch):
    """A CPU takes steps: without a loop where there are few, with past outputs apart or together, part by part."""
    monkeypatch.setattr(_steps, "_PART", 300)
    generator = np.random.default_rng(0)
    reverse = order == 2
    axes = (1, 4, length) if order == 1 else (4,)
    x, b, a = (generator.standard_normal(shape) for shape in ((2, 1, length), (4, 3), (*axes, order)))
    state = mr.State(generator.standard_normal((2, 1, 2)), generator.standard_normal((2, 4, order)))
    given = {"feedforward": b, "feedback": a / (5 * order), "state": state, "reverse": reverse}
    expected, y = both(x, **given)
    np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-10)


def test_a_cpu_builds_no_tables(monkeypatch):
    """What blocks are computed with takes seconds to compile."""
    monkeypatch.setattr(_solve, "block_responses", None)
    x, a = jnp.ones((2, 1, 777)), jnp.full((5, 2), 0.1)
    filtered = jax.grad(lambda a: mr.recurrence(x, feedback=a, backend="jax")[0].sum())
    assert np.isfinite(filtered(a)).all()


def test_many_taps_of_feedforward():
    generator = np.random.default_rng(1)
    x, b, a = (generator.standard_normal(shape) for shape in ((2, 3, 150), (3, 40), (3, 1)))
    for feedback in (0.5 * a / abs(a), None):
        expected, y = both(x, feedforward=b, feedback=feedback)
        np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-10)


def stepwise(x, feedback):
    """The float32 recurrence of order 2, one sample after the other."""
    y = np.zeros((x.shape[0], len(feedback), x.shape[-1] + 2), np.float32)
    for t in range(x.shape[-1]):
        y[..., t + 2] = x[..., t] + feedback[:, 0] * y[..., t + 1] + feedback[:, 1] * y[..., t]
    return y[..., 2:]


def test_float32_error_is_within_twice_that_of_steps(blocked):
    radius, angle = (np.ravel(grid) for grid in np.meshgrid([0.5, 0.99, 0.9999], [1e-3, 0.1, 1.5, 3.1]))
    a = second_order(radius, angle)
    ratios = []
    for seed in range(3):
        x = np.random.default_rng(seed).standard_normal((2, 1, 3000)).astype(np.float32)
        expected, y = both(x, feedback=a)
        errors = [((part - expected) ** 2).mean((0, 2)) for part in (y, stepwise(x, a))]
        ratios.append(np.sqrt(errors[0] / errors[1]))
    assert np.median(ratios, 0).max() < 2


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_unstable_filters(dtype, reverse, blocked):
    a = second_order(np.array([0.9, 1.001, 1.01, 1.1, 1.5, 4.0, 16.0, 1e3, 1e12]), 1.0, dtype)
    x = np.random.default_rng(8).standard_normal((3, 1, 1000)).astype(dtype)
    x[1] *= 1e-20
    x[2, :, :300], x[2, :, -300:] = 0, 0
    expected, y = both(x, feedback=a, reverse=reverse)
    if reverse:
        expected, y = expected[..., ::-1], y[..., ::-1]
    with np.errstate(all="ignore"):
        peak = np.maximum.accumulate(np.abs(expected), -1)
        said = peak < (1e300 if dtype == "float64" else 1e30)
        assert ((np.abs(y - expected) <= 1e-2 * peak) | ~said).all()
    finite = np.isfinite(y)
    assert (finite[..., 1:] <= finite[..., :-1]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_sequence_and_its_future(value, blocked):
    x = np.random.default_rng(1).standard_normal((3, 3, 500)).astype(np.float32)
    a = second_order(np.array([0.5, 0.9, 0.99]), 1.0)
    clean, _ = mr.recurrence(x, feedback=a, backend="jax")
    x[1, 2, 300] = value
    y, _ = mr.recurrence(x, feedback=a, backend="jax")
    gone = np.zeros(y.shape, bool)
    gone[1, 2, 300:] = True
    assert not np.isfinite(y[gone]).any()
    np.testing.assert_allclose(y[~gone], clean[~gone], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("enabled", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_doubles_of_numpy_and_torch_whatever_the_setting(dtype, enabled):
    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(2)
    x, a = generator.standard_normal((2, 1, 100)).astype(dtype), np.array([[0.999], [0.5]])
    with jax.enable_x64(enabled):
        y, state = mr.recurrence(x, feedback=a, backend="jax")
        assert jnp.ones(1).dtype == ("float64" if enabled else "float32")
        tensor = torch.from_numpy(x).requires_grad_()
        z, _ = mr.recurrence(tensor, feedback=a, backend="jax")
        z.abs().square().sum().backward()
    assert y.dtype == state.outputs.dtype == dtype
    np.testing.assert_allclose(y, mr.recurrence(x, feedback=a, backend="reference")[0], rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(z.detach().numpy(), y)
    want = vjp(2 * y, x, feedback=a, backend="reference").x
    np.testing.assert_allclose(tensor.grad.numpy(), want, rtol=1e-12)


def test_the_numbers_of_jax_arrays_are_those_of_numpy():
    x = np.random.default_rng(3).standard_normal((2, 1, 100)).astype(np.float32)
    a = second_order([0.9, 0.9999], 0.01)
    with jax.enable_x64(False):
        y, _ = mr.recurrence(jnp.asarray(x), feedback=a, backend="jax")
    np.testing.assert_array_equal(y, mr.recurrence(x, feedback=a, backend="jax")[0])


def test_memory_is_shared_and_results_are_the_callers():
    x = np.zeros((1, 1, 4096), np.float32)
    y, state = mr.recurrence(x, feedback=np.zeros((1, 0)), backend="jax")
    assert not np.shares_memory(x, y)
    y += 1
    state.outputs[...] = 0
    assert not x.any()
