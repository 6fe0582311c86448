"""`zero_state` as the carry of `jax.lax.scan`, whose type may not change."""

from __future__ import annotations

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import multirec as mr
from multirec.errors import DtypeError


def arrays(dtype="float32", layout="BCT", blocks=3):
    """Return blocks of x with two batch axes, feedforward and feedback of 4 channels."""
    shape = {"BCT": (2, 3, 1, 5), "BTC": (2, 3, 5, 1), "TBC": (5, 2, 3, 1)}[layout]
    generator = np.random.default_rng(0)
    x = jnp.asarray(generator.standard_normal((blocks, *shape))).astype(dtype)
    return x, jnp.asarray(generator.standard_normal((4, 3)), "float32"), jnp.full((4, 2), 0.1, "float32")


def in_blocks(x, b, a, **choices):
    """Return y of each block and the last state."""
    zeros = mr.zero_state(x[0], feedforward=b, feedback=a, **choices)

    def step(state, block):
        y, state = mr.recurrence(block, feedforward=b, feedback=a, state=state, **choices)
        return state, y

    state, y = jax.lax.scan(step, zeros, x)
    return y, state


def by_hand(x, b, a, **choices):
    state, blocks = None, []
    for block in x:
        y, state = mr.recurrence(block, feedforward=b, feedback=a, state=state, **choices)
        blocks.append(y)
    return jnp.stack(blocks), state


def assert_same(got, want, tolerance=1e-6):
    def same(one, other):
        assert (one.dtype, one.weak_type) == (other.dtype, other.weak_type)
        wide = "complex128" if jnp.iscomplexobj(one) else "float64"
        one, other = (np.asarray(part).astype(wide) for part in (one, other))
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)

    jax.tree.map(same, got, want)


CARRIED = [("float32", "TBC"), ("bfloat16", "BCT"), ("complex64", "BTC")]
OTHERS = [
    each
    for each in product(("float32", "float16", "bfloat16", "complex64"), ("BCT", "BTC", "TBC"))
    if each not in CARRIED
]


@pytest.mark.parametrize(
    ("dtype", "layout"), [*CARRIED, *(pytest.param(*each, marks=pytest.mark.long) for each in OTHERS)]
)
def test_the_carry_of_a_scan(dtype, layout):
    given = arrays(dtype, layout)
    want = by_hand(*given, layout=layout)
    # of y in half types a rounding may differ
    tolerance = {"float16": 2e-3, "bfloat16": 1e-2}.get(dtype, 1e-5)
    for function in (in_blocks, jax.jit(in_blocks, static_argnames="layout")):
        assert_same(function(*given, layout=layout), want, tolerance)


def test_under_vmap_and_grad():
    x, b, a = arrays()
    many = jnp.stack([a, 0.5 * a])

    def value(function):
        return lambda a: sum((part**2).sum() for part in jax.tree.leaves(function(x, b, a)))

    got, want = (jax.jit(jax.vmap(jax.value_and_grad(value(f))))(many) for f in (in_blocks, by_hand))
    assert_same(got, want, 1e-4)
    y, _ = jax.vmap(in_blocks, (1, None, None), 1)(x, b, a)
    assert_same(y, by_hand(x, b, a)[0], 1e-5)


def test_inside_shard_map():
    x, b, a = arrays()
    mesh = jax.make_mesh((2,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    of_x = jax.P(None, "d")
    sharded = jax.shard_map(
        in_blocks, mesh=mesh, in_specs=(of_x, jax.P(), jax.P()), out_specs=(of_x, mr.State(jax.P("d"), jax.P("d")))
    )
    got = jax.jit(sharded)(x, b, a)
    np.testing.assert_allclose(got[0], by_hand(x, b, a)[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "complex64"])
def test_shapes_alone(dtype):
    x, b, a = arrays(dtype)
    of_array = mr.zero_state(x[0], feedforward=b, feedback=a)
    of_shape = mr.zero_state(jax.ShapeDtypeStruct(x.shape[1:], x.dtype), feedforward=b, feedback=np.asarray(a))
    assert_same(of_shape, of_array, 0)
    traced = jax.eval_shape(lambda x: mr.zero_state(x, feedforward=b, feedback=a), x[0])
    assert jax.tree.map(lambda part: (part.shape, part.dtype), traced) == jax.tree.map(
        lambda part: (part.shape, part.dtype), of_array
    )


def test_a_design_that_float32_spoils():
    a = -np.poly(np.full(4, 0.9999))[None, 1:]
    x = jnp.ones((3, 2, 1, 5), "float32")
    with jax.enable_x64(True):
        want = mr.recurrence(x[0], feedback=a)[1].outputs.dtype
        assert want == "float64"
        assert mr.zero_state(x[0], feedback=a).outputs.dtype == want
        assert mr.zero_state(jax.ShapeDtypeStruct((2, 1, 5), "float32"), feedback=a).outputs.dtype == want
        y, state = jax.jit(lambda x: in_blocks(x, None, a))(x)
        assert_same((y, state), by_hand(x, None, a), 1e-5)


def test_doubles_while_jax_has_none():
    with pytest.raises(DtypeError, match="compute_dtype is float64, and JAX has no 64-bit types"):
        mr.zero_state(jnp.ones((1, 1, 4)), feedback=jnp.ones((1, 1)), compute_dtype="float64")


def test_on_the_device_of_x():
    device = jax.devices()[1]
    x = jax.device_put(jnp.ones((1, 1, 4)), device)
    state = mr.zero_state(x, feedback=jnp.ones((2, 1)))
    assert {part.device for part in state} == {device}
    # what is committed nowhere follows the others
    assert not any(part.committed for part in mr.zero_state(jnp.ones((1, 1, 4)), feedback=jnp.ones((2, 1))))
