"""What a mesh cuts along batch or channels is computed where it is: nothing is gathered, and results stay cut."""

import re

import numpy as np
import pytest

pytest.importorskip("jax")

import jax
from jax.sharding import AxisType, NamedSharding

import multirec as mr
from multirec._sections import cascade

P = jax.P
GENERATOR = np.random.default_rng(0)
X, INPUTS, OUTPUTS = (GENERATOR.standard_normal((4, 2, count)) for count in (8, 1, 2))
B, A = GENERATOR.standard_normal((2, 2)), GENERATOR.uniform(-0.4, 0.4, (2, 2))
TAPS = np.broadcast_to([0.2, 0.1, 0.05, 0.3, -0.1], (2, 3, 5)).copy()
RESETS = GENERATOR.random((4, 8)) < 0.2


@pytest.fixture(autouse=True)
def _quick():
    jax.config.update("jax_disable_most_optimizations", True)
    with jax.enable_x64(True):
        yield
    jax.config.update("jax_disable_most_optimizations", False)


def filtered(backend):
    def of(x, feedforward, feedback, inputs, outputs):
        state = mr.State(inputs, outputs)
        return mr.recurrence(x, feedforward=feedforward, feedback=feedback, state=state, backend=backend)

    return of


def with_gradients(function):
    """Return the results of a function, and the gradients of a loss of them."""

    def loss(*arrays):
        results = function(*arrays)
        return sum(jax.numpy.sin(part).sum() for part in jax.tree.leaves(results)), results

    return jax.jit(jax.grad(loss, (0, 1), has_aux=True))


def compared(function, arrays, specs, kind, shape=(2,), names=("d",)):
    """Return what kinds of messages a mesh's devices send, and how results lie; they are to be one device's."""
    mesh = jax.make_mesh(shape, names, axis_types=(kind,) * len(shape))
    both = with_gradients(function)
    placed = [jax.device_put(part, NamedSharding(mesh, spec)) for part, spec in zip(arrays, specs, strict=True)]
    with jax.set_mesh(mesh):
        program = both.lower(*placed).compile()
        found = program(*placed)
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, 1e-12, 1e-13), found, both(*arrays))
    sent = re.findall(r"(all-gather|all-reduce|reduce-scatter|all-to-all|collective-permute)\(", program.as_text())
    (of_x, of_taps), results = jax.tree.map(lambda part: part.sharding.spec, found)
    return set(sent), results, of_x, of_taps


def is_cut(spec, *axes):
    spec = tuple(spec)
    return spec[: len(axes)] == axes and not any(spec[len(axes) :])


BACKENDS = pytest.mark.parametrize("backend", ["numba", pytest.param("jax", marks=pytest.mark.long)])
KINDS = pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])


@KINDS
@BACKENDS
def test_a_batch_that_is_cut(kind, backend):
    specs = P("d"), P(), P(), P("d"), P("d")
    sent, (y, state), of_x, of_taps = compared(filtered(backend), (X, B, A, INPUTS, OUTPUTS), specs, kind)
    # gradients of coefficients that all examples have are sums
    assert sent == {"all-reduce"}
    assert is_cut(of_taps)
    assert all(is_cut(part, "d") for part in (y, *state, of_x))


@KINDS
@BACKENDS
def test_channels_that_are_cut(kind, backend):
    specs = P(None, "d"), P("d"), P("d"), P(None, "d"), P(None, "d")
    sent, (y, state), of_x, of_taps = compared(filtered(backend), (X, B, A, INPUTS, OUTPUTS), specs, kind)
    assert not sent
    assert is_cut(of_taps, "d")
    assert all(is_cut(part, None, "d") for part in (y, *state, of_x))


@KINDS
def test_coefficients_of_channels_that_are_cut_and_a_signal_that_serves_all(kind):
    arrays = X[:, :1], B, A, INPUTS[:, :1], OUTPUTS
    sent, (y, state), of_x, _ = compared(filtered("numba"), arrays, (P(), P("d"), P("d"), P(), P(None, "d")), kind)
    assert sent == {"all-reduce"}
    assert is_cut(of_x)
    assert all(is_cut(part, None, "d") for part in (y, state.outputs))


@pytest.mark.long
@KINDS
def test_time_that_is_cut_is_gathered(kind):
    arrays = X, B, A, INPUTS, OUTPUTS
    sent, (y, _), *_ = compared(filtered("numba"), arrays, (P(None, None, "d"), *[P()] * 4), kind)
    assert "all-gather" in sent
    assert is_cut(y)


@KINDS
def test_sections(kind):
    sent, results, of_x, _ = compared(lambda x, taps: cascade(x, taps, backend="numba"), (X, TAPS), (P("d"), P()), kind)
    assert sent == {"all-reduce"}
    assert all(is_cut(part, "d") for part in (*results, of_x))


@KINDS
def test_sequences(kind):
    def of(x, feedback):
        return mr.recurrence(x, feedback=feedback, resets=RESETS, backend="numba")[0]

    sent, y, of_x, _ = compared(of, (X, A), (P("d"), P()), kind)
    assert "all-gather" not in sent
    assert is_cut(y, "d")
    assert is_cut(of_x, "d")


@pytest.mark.long
@KINDS
@pytest.mark.parametrize("backend", ["jax", "numba"])
def test_under_vmap(kind, backend):
    def of(x, feedback):
        return jax.vmap(lambda x: mr.recurrence(x, feedback=feedback, backend=backend)[0])(x)

    sent, y, of_x, _ = compared(of, (X[:, None], A), (P("d"), P()), kind)
    assert sent == {"all-reduce"}
    assert is_cut(y, "d")
    assert is_cut(of_x, "d")


@pytest.mark.long
@pytest.mark.parametrize("backend", ["jax", "numba"])
def test_rows_that_do_not_divide(backend):
    def of(x, feedback):
        return mr.recurrence(jax.numpy.concatenate([x, x[:1]]), feedback=feedback, backend=backend)[0]

    compared(of, (X, A), (P("d"), P()), AxisType.Auto)


@pytest.mark.parametrize("backend", ["jax", "numba"])
def test_a_program_of_a_sharding_without_a_mesh_around_it(backend):
    mesh = jax.make_mesh((2,), ("d",), axis_types=(AxisType.Auto,))
    x = jax.device_put(X, NamedSharding(mesh, P("d")))
    of = jax.jit(lambda x: mr.recurrence(x, feedback=A, backend=backend)[0])
    assert is_cut(of(x).sharding.spec, "d")
    np.testing.assert_allclose(of(x), of(X), 1e-12)
