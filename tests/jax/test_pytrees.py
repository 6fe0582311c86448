"""Banks and cascades as pytrees, whatever a library puts in the place of their arrays."""

from __future__ import annotations

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import multirec as mr

X = jnp.asarray(np.random.default_rng(0).standard_normal((2, 3, 16)), jnp.float32)


def bank():
    return mr.RecurrenceBank(feedforward=jnp.ones((3, 2)), feedback=jnp.full((3, 1), 0.5), layout="BCT", backend="jax")


def of_ba():
    return mr.RecurrenceBank.from_ba(jnp.ones((3, 2)), jnp.full((3, 2), 2.0), backend="jax")


def cascade():
    sos = jnp.asarray([[[1.0, 0.5, 0.0, 2.0, -0.5, 0.0], [1.0, 0.0, 0.0, 1.0, 0.2, 0.1]]] * 3)
    return mr.RecurrenceBank.from_sos(sos, backend="jax")


KINDS = pytest.mark.parametrize("make", [bank, of_ba, cascade])


def y_of(filters, x):
    return filters(x)[0]


def close(got, want):
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5), got, want)


_EARLY = """
import numpy as np, multirec as mr
early = mr.RecurrenceBank(feedback=np.full((3, 1), 0.5), backend="reference")
early_cascade = mr.RecurrenceBank.from_sos([[1, 0, 0, 1, -0.5, 0]], backend="reference")
import jax, jax.numpy as jnp
x = jnp.ones((1, 3, 4))
# the first use while JAX is there makes them pytrees
{use}
assert len(jax.tree.leaves(early)) == 1
assert len(jax.tree.leaves(early_cascade)) == 2
y = jax.jit(lambda bank, x: bank(x)[0])(early, x)
np.testing.assert_allclose(y[0, 0], [1, 1.5, 1.75, 1.875])
"""


@pytest.mark.parametrize(
    "use", ["early(x)", "mr.RecurrenceBank(feedback=jnp.ones((3, 1)))", "mr.explain(x, feedback=x)"]
)
def test_a_bank_that_was_there_before_jax(use):
    code = _EARLY.format(use=use.replace("feedback=x", "feedback=jnp.ones((3, 1))"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@KINDS
def test_under_jit_and_scan(make):
    want = y_of(make(), X)
    close(jax.jit(y_of)(make(), X), want)
    back = jax.jit(lambda filters: filters)(make())
    assert repr(back) == repr(make())
    close(y_of(back, X), want)
    carried, _ = jax.lax.scan(lambda filters, x: (filters, y_of(filters, x)), make(), X[None])
    close(y_of(carried, X), want)


@KINDS
def test_under_vmap(make):
    one, other = make(), jax.tree.map(lambda leaf: 1.1 * leaf, make())
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), one, other)
    want = jnp.stack([y_of(one, X), y_of(other, X)])
    close(jax.vmap(y_of, (0, None))(both, X), want)
    # axes may be a tree of the same structure
    close(jax.vmap(y_of, (jax.tree.map(lambda _: 0, one), None))(both, X), want)
    back = jax.vmap(lambda factor: jax.tree.map(lambda leaf: factor * leaf, one))(jnp.array([1.0, 1.1]))
    close(jax.tree.leaves(back), jax.tree.leaves(both))


@KINDS
@pytest.mark.parametrize(
    "leaf",
    [None, object(), "text", 3, (1, 2), jax.ShapeDtypeStruct((2,), "float32")],
    ids=["nothing", "object", "text", "number", "tuple", "shape"],
)
def test_any_leaves(make, leaf):
    filters = make()
    leaves, structure = jax.tree.flatten(filters)
    changed = jax.tree.unflatten(structure, [leaf] * len(leaves))
    found = jax.tree.leaves(changed, is_leaf=lambda part: part is leaf)
    assert all(part is leaf for part in found)
    assert len(found) == len(leaves)
    if leaf is not None and not isinstance(leaf, tuple):
        assert jax.tree.structure(changed) == structure
        assert hash(structure) == hash(jax.tree.structure(changed))
    close(y_of(jax.tree.unflatten(structure, leaves), X), y_of(filters, X))


def test_structures_tell_choices_apart():
    feedback = jnp.full((3, 1), 0.5)
    kinds = [{}, {"layout": "BTC"}, {"reverse": True}, {"backend": "jax"}, {"compute_dtype": "float32"}]
    structures = {jax.tree.structure(mr.RecurrenceBank(feedback=feedback, **kind)) for kind in kinds}
    assert len(structures) == len(kinds)


def test_names_of_leaves():
    paths = jax.tree_util.tree_flatten_with_path(cascade())[0]
    assert [jax.tree_util.keystr(path) for path, _ in paths] == ["[0].b", "[0].a", "[1].b", "[1].a"]


@KINDS
def test_equinox(make):
    eqx = pytest.importorskip("equinox")

    class Model(eqx.Module):
        filters: object
        gain: jax.Array

        def __call__(self, x):
            return self.gain * y_of(self.filters, x)

    model = Model(make(), jnp.float32(2))
    close(eqx.filter_jit(model)(X), 2 * y_of(make(), X))
    arrays, static = eqx.partition(model, eqx.is_array)
    close(eqx.combine(arrays, static)(X), model(X))
    grads = eqx.filter_grad(lambda model: (model(X) ** 2).sum())(model)
    want = jax.grad(lambda filters: ((2 * y_of(filters, X)) ** 2).sum())(make())
    close(jax.tree.leaves(grads.filters), jax.tree.leaves(want))
    moved = eqx.apply_updates(model, jax.tree.map(lambda leaf: 0 * leaf, grads))
    close(moved(X), model(X))
    many = eqx.filter_vmap(lambda gain: Model(make(), gain))(jnp.array([1.0, 3.0]))
    close(eqx.filter_vmap(lambda model: model(X))(many), jnp.stack([y_of(make(), X), 3 * y_of(make(), X)]))
