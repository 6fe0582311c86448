"""JAX arrays that are computed in a wider type than they are stored in."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import multirec as mr
from multirec.errors import DtypeError

X = np.random.default_rng(0).standard_normal((2, 1, 30)).astype("float32")
B, A = np.array([[1.0, 0.3], [0.5, -0.2]]), np.array([[1.2, -0.6], [0.5, 0.3]])
PAST = np.random.default_rng(1).standard_normal((2, 2, 2))
HOST = ["numba", "reference"]


def filtered(backend: str, **choices: Any) -> Any:
    def call(x: Any, b: Any, a: Any, past: Any) -> Any:
        y, state = mr.recurrence(x, feedforward=b, feedback=a, state=(None, past), backend=backend, **choices)
        return y, state.outputs

    return call


def loss(call: Any) -> Any:
    return lambda *operands: sum((part.astype("float64") ** 2).sum() for part in call(*operands))


@pytest.mark.parametrize("backend", HOST)
class TestWide:
    def test_values_gradients_and_second_derivatives(self, backend: str) -> None:
        with jax.enable_x64(True):
            wide = filtered(backend, compute_dtype="float64")
            given, exact = (tuple(map(jnp.asarray, (x, B, A, PAST))) for x in (X, X.astype("float64")))
            y, outputs = jax.jit(wide)(*given)
            want, after = filtered(backend)(*exact)
            assert (y.dtype, outputs.dtype) == ("float32", "float64")
            np.testing.assert_array_equal(y, want.astype("float32"))
            np.testing.assert_allclose(outputs, after, rtol=1e-13)
            every = (0, 1, 2, 3)
            found = jax.jit(jax.grad(loss(wide), every))(*given)
            for got, right, own in zip(found, jax.grad(loss(filtered(backend)), every)(*exact), given, strict=True):
                assert got.dtype == own.dtype
                np.testing.assert_allclose(got, right, rtol=1e-5, atol=1e-5)
            hessian, right = (
                jax.hessian(loss(call), 2)(*of) for call, of in ((wide, given), (filtered(backend), exact))
            )
            np.testing.assert_allclose(hessian, right, rtol=1e-4, atol=1e-4)

    def test_jvp_and_vmap(self, backend: str) -> None:
        with jax.enable_x64(True):
            wide = filtered(backend, compute_dtype="float64")
            given = tuple(map(jnp.asarray, (X, B, A, PAST)))
            _, tangents = jax.jvp(wide, given, tuple(map(jnp.ones_like, given)))
            assert [part.dtype for part in tangents] == ["float32", "float64"]
            filters = jnp.stack([given[2], 0.5 * given[2]])
            found = jax.vmap(wide, (None, None, 0, None))(*given[:2], filters, given[3])
            for index, one in enumerate(filters):
                for got, want in zip(found, wide(*given[:2], one, given[3]), strict=True):
                    np.testing.assert_array_equal(got[index], want)

    def test_banks_keep_it_as_pytrees(self, backend: str) -> None:
        with jax.enable_x64(True):
            bank = mr.RecurrenceBank(feedback=jnp.asarray(A), backend=backend, compute_dtype="float64")
            y, state = jax.jit(lambda bank, x: bank(x))(bank, jnp.asarray(X))
            assert (y.dtype, state.outputs.dtype) == ("float32", "float64")


SPOILED = np.array([[1.99999, -0.99999001]])
"""Poles that float32 cannot tell apart."""


def test_banks_of_different_designs_are_pytrees_of_one_kind() -> None:
    held, spoiled = (mr.RecurrenceBank(feedback=part) for part in (A[:1], SPOILED))
    mean = jax.tree.map(lambda one, other: (one + other) / 2, held, spoiled)
    np.testing.assert_array_equal(mean.feedback, (A[:1] + SPOILED) / 2)
    traces = []

    def call(bank: Any, x: Any) -> Any:
        traces.append(None)
        return bank(x)[0]

    with jax.enable_x64(True):
        function = jax.jit(call)
        for bank in (held, spoiled, mean):
            function(bank, jnp.asarray(X))
        assert len(traces) == 1


def test_a_bank_that_is_taken_apart_is_judged_by_its_values() -> None:
    with jax.enable_x64(True):
        for design, dtype in ((A[:1], "float32"), (SPOILED, "float64")):
            bank = mr.RecurrenceBank(feedback=design)
            moved = jax.tree.map(lambda leaf: leaf.copy(), bank)
            for one in (bank, moved):
                assert one(jnp.asarray(X))[1].outputs.dtype == dtype
                assert jax.jit(one)(jnp.asarray(X))[1].outputs.dtype == dtype


def test_without_64_bit_types_it_is_an_error() -> None:
    x = jnp.asarray(X)
    for call in (mr.recurrence, mr.explain):
        with pytest.raises(DtypeError, match=r"compute_dtype is float64, and JAX has no 64-bit types.*jax_enable_x64"):
            call(x, feedback=A, compute_dtype="float64")
    # which arrays of other libraries do not need
    assert mr.recurrence(X, feedback=A, compute_dtype="float64", backend="numba")[0].dtype == np.float32


@pytest.mark.parametrize("backend", [*HOST, "jax"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_types_keep_a_float32_state(dtype: str, backend: str) -> None:
    bank = mr.RecurrenceBank(feedback=jnp.asarray([[0.999]]), backend=backend)
    samples = jnp.ones((300, 1, 1), dtype)
    start = mr.State(jnp.zeros((1, 1, 0), dtype), jnp.zeros((1, 1, 1)))
    state, y = jax.lax.scan(lambda state, sample: bank.step(sample, state)[::-1], start, samples)
    assert (y.dtype, state.outputs.dtype) == (dtype, "float32")
    np.testing.assert_allclose(state.outputs[0, 0], (1 - 0.999**300) / 0.001, rtol=1e-4)


@pytest.mark.parametrize("backend", [*HOST, "jax"])
def test_the_gradient_of_a_half_state_has_its_type(backend: str) -> None:
    x = jnp.zeros((1, 1, 4), "bfloat16")

    def total(past: Any) -> Any:
        return mr.recurrence(x, feedback=jnp.asarray([[0.5]]), state=(None, past), backend=backend)[1].outputs.sum()

    for dtype in ("bfloat16", "float32"):
        found = jax.grad(total)(jnp.ones((1, 1, 1), dtype))
        assert found.dtype == dtype
        np.testing.assert_allclose(found.astype("float32"), 0.5**4)
