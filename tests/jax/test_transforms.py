"""JAX's transformations of `recurrence` and banks: each agrees with the same thing done without multirec."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jax.test_util import check_grads

import multirec as mr
from multirec.adjoint import vjp
from multirec.errors import UnsupportedError

BACKEND = "jax"


@pytest.fixture(autouse=True, params=["jax", "numba"])
def _backend(request, monkeypatch):
    """One backend that JAX traces, and one that its programs call."""
    if mr.backends()[request.param].status != "ready":
        pytest.skip(f"{request.param} is not here")
    monkeypatch.setitem(globals(), "BACKEND", request.param)
    with jax.enable_x64(True):
        yield


def arrays(kind="static", dtype="float64", length=6, seed=0):
    """Return x, feedforward, feedback and both parts of a state: batch 2, 3 channels, one shared input."""
    generator = np.random.default_rng(seed)

    def draw(*shape):
        values = generator.standard_normal(shape)
        return jnp.asarray(values + 1j * generator.standard_normal(shape) if "complex" in dtype else values, dtype)

    axes = {"static": (3,), "per_example": (2, 3), "time_varying": (2, 3, length)}[kind]
    return draw(2, 1, length), draw(*axes, 3), 0.3 * draw(*axes, 2), draw(2, 1, 2), draw(2, 3, 2)


def filtered(x, feedforward, feedback, inputs=None, outputs=None, **choices):
    choices = {"backend": BACKEND, **choices}
    return mr.recurrence(x, feedforward=feedforward, feedback=feedback, state=(inputs, outputs), **choices)


def plain(x, feedforward, feedback, inputs, outputs):
    """The recurrence in jnp alone, for batch 2, 3 channels, static coefficients."""
    q, p = feedforward.shape[-1] - 1, feedback.shape[-1]
    x = jnp.broadcast_to(jnp.concatenate([inputs, x], -1), (2, 3, q + x.shape[-1]))
    y = [outputs[..., k] for k in range(p)]
    for t in range(q, x.shape[-1]):
        driven = sum(feedforward[:, j] * x[..., t - j] for j in range(q + 1))
        y.append(driven + sum(feedback[:, k] * y[-1 - k] for k in range(p)))
    y = jnp.stack(y, -1)
    return y[..., p:], mr.State(x[:, :1, x.shape[-1] - q :], y[..., y.shape[-1] - p :])


def assert_same(got, want, tolerance=1e-10):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), got, want)


def loss(function):
    def value(*operands):
        y, state = function(*operands)
        return sum(jnp.sum(jnp.sin(part).real) for part in (y, *state))

    return value


def test_values_under_jit():
    operands = arrays()
    assert_same(jax.jit(filtered)(*operands), plain(*operands))
    assert_same(filtered(*operands), plain(*operands))


def test_without_jit():
    operands, every = arrays(), (0, 1, 2, 3, 4)
    with jax.disable_jit():
        got = filtered(*operands), jax.grad(loss(filtered), every)(*operands)
    assert_same(got, (plain(*operands), jax.grad(loss(plain), every)(*operands)))


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_gradients_are_those_of_jax(dtype):
    operands, every = arrays(dtype=dtype), (0, 1, 2, 3, 4)
    got = jax.jit(jax.grad(loss(filtered), every))(*operands)
    assert_same(got, jax.jit(jax.grad(loss(plain), every))(*operands))


def test_tangents_are_those_of_jax():
    operands, moves = arrays(), arrays(seed=1)

    def both(function):
        return jax.jit(lambda operands, moves: jax.jvp(function, operands, moves))(operands, moves)

    assert_same(both(filtered), both(plain))


@pytest.mark.parametrize("kind", ["static", "time_varying"])
def test_check_grads_to_second_order(kind):
    check_grads(jax.jit(filtered), arrays(kind, length=3), order=2, modes=("fwd", "rev"), eps=2e-5)


def test_check_grads_of_blocks_that_run_backwards():
    x, b, a, *_ = arrays("per_example", length=70)
    backwards = jax.jit(lambda x, b, a: filtered(x, b, a, reverse=True)[0])
    check_grads(backwards, (x, b, a), order=1, modes=("fwd", "rev"), eps=2e-5)


def test_hessian():
    x, b, a, *state = arrays()

    def hessian(function):
        return jax.jit(jax.hessian(lambda b, a: loss(function)(x, b, a, *state), (0, 1)))(b, a)

    assert_same(hessian(filtered), hessian(plain))


@pytest.mark.parametrize("mapped", ["x", "coefficients", "everything"])
def test_vmap_and_gradients_of_it(mapped):
    many = [jnp.stack([part, 2 * part, -part]) for part in arrays()]
    wanted = {"x": (0,), "coefficients": (1, 2), "everything": (0, 1, 2, 3, 4)}[mapped]
    axes = [0 if index in wanted else None for index in range(5)]
    operands = [part if axis == 0 else part[0] for part, axis in zip(many, axes, strict=True)]

    def derivatives(function):
        inner = jax.vmap(jax.grad(loss(function), (0, 1, 2)), axes)
        outer = jax.grad(lambda *given: jax.vmap(loss(function), axes)(*given).sum(), (0, 1, 2))
        return jax.jit(lambda *given: (jax.vmap(function, axes)(*given), inner(*given), outer(*given)))(*operands)

    assert_same(derivatives(filtered), derivatives(plain))


@pytest.mark.parametrize("empty", ["inputs", "outputs"])
def test_derivatives_and_vmap_with_a_state_of_no_samples(empty):
    x, b, a, inputs, outputs = arrays()
    b, inputs = (b[..., :1], inputs[..., :0]) if empty == "inputs" else (b, inputs)
    a, outputs = (a[..., :0], outputs[..., :0]) if empty == "outputs" else (a, outputs)
    operands = x.mT, b, a, inputs.mT, outputs.mT

    def turned(*operands):
        return filtered(*operands, layout="BTC")[0]

    # XLA compiles each step by itself here, as it does not under jit
    y, pull = jax.vjp(turned, *operands)
    x, b, a, *state = map(np.asarray, operands)
    wanted = vjp(np.asarray(y), x, feedforward=b, feedback=a, state=tuple(state), layout="BTC", backend="reference")
    assert_same(pull(y), (*wanted[:3], *wanted.state))
    assert_same(jax.vmap(turned)(*(part[None] for part in operands)), y[None])


@pytest.mark.parametrize("wanted", [(0, 3, 4), (1, 4)])
def test_linear_transpose(wanted):
    operands = arrays(dtype="complex128")

    def of(*moving):
        rest = iter(moving)
        return filtered(*(next(rest) if place in wanted else part for place, part in enumerate(operands)))[0]

    zeros = tuple(jnp.zeros_like(operands[place]) for place in wanted)
    y, pull = jax.vjp(of, *zeros)
    got = jax.jit(jax.linear_transpose(of, *zeros))(y + 1)
    assert_same(got, pull(y + 1))
    assert_same(jax.linear_transpose(jax.linear_transpose(of, *zeros), y)(got)[0], jax.jvp(of, zeros, got)[1])


@pytest.mark.parametrize("unknown", [(2,), (0, 1)])
def test_linear_transpose_of_what_is_not_linear(unknown):
    operands = [jnp.zeros((2, 1, 6)), jnp.zeros((3, 2)), jnp.zeros((3, 2))]

    def of(*moving):
        rest = iter(moving)
        return filtered(*(next(rest) if place in unknown else part for place, part in enumerate(operands)))[0]

    with pytest.raises(UnsupportedError, match=r"along feedback.*not linear.*jax\.vjp"):
        jax.linear_transpose(of, *(operands[place] for place in unknown))(jnp.zeros((2, 3, 6)))


def test_vmap_of_nothing():
    x, _, a, *_ = arrays()
    none = jnp.zeros((0, *a.shape))
    y, grads = jax.vmap(jax.value_and_grad(lambda a: filtered(x, None, a)[0].sum()))(none)
    assert (y.shape, grads.shape) == ((0,), none.shape)


def test_vmap_of_a_hessian():
    x, b, a, *state = arrays()
    many = jnp.stack([a, 0.5 * a])

    def hessians(function):
        return jax.jit(jax.vmap(jax.hessian(lambda a: loss(function)(x, b, a, *state))))(many)

    assert_same(hessians(filtered), hessians(plain))


def test_state_threads_through_scan():
    x, b, a, *_ = arrays(length=12)
    bank = mr.RecurrenceBank(feedforward=b, feedback=a, backend=BACKEND)

    @jax.jit
    def blocks(bank, x):
        state = mr.State(jnp.zeros((2, 1, 2)), jnp.zeros((2, 3, 2)))
        pieces = jnp.moveaxis(x.reshape(2, 1, 3, 4), 2, 0)
        state, y = jax.lax.scan(lambda state, piece: bank(piece, state)[::-1], state, pieces)
        samples = jnp.moveaxis(x, -1, 0)
        last, steps = jax.lax.scan(lambda state, sample: bank.step(sample, state)[::-1], state, samples)
        return jnp.moveaxis(y, 0, 2).reshape(2, 3, 12), state, jnp.moveaxis(steps, 0, -1), last

    y, state, steps, last = blocks(bank, x)
    want, after = bank(x)
    assert_same((y, state), (want, after))
    assert_same((steps, last), bank(x, after))


def test_a_bank_is_a_pytree():
    _, b, a, *_ = arrays()
    bank = mr.RecurrenceBank(feedforward=b, feedback=a, layout="BTC", reverse=True, backend=BACKEND)
    leaves, tree = jax.tree.flatten(bank)
    assert len(leaves) == 2
    assert repr(jax.tree.unflatten(tree, leaves)) == repr(bank)
    moved = jax.tree.map(lambda part: part + 1, bank)
    assert_same((moved.feedforward, moved.feedback), (b + 1, a + 1))
    cascade = mr.RecurrenceBank.from_sos(np.ones((2, 3, 6)))
    assert len(jax.tree.leaves(cascade)) == 6
    assert jax.tree_util.keystr(jax.tree_util.tree_flatten_with_path(bank)[0][0][0]) == ".feedback"


def test_gradients_of_a_bank():
    x, b, a, *_ = arrays()
    bank = mr.RecurrenceBank(feedforward=b, feedback=a, backend=BACKEND)
    found = jax.jit(jax.grad(lambda bank: jnp.sum(bank(x)[0] ** 2)))(bank)
    want = jax.grad(lambda b, a: jnp.sum(filtered(x, b, a)[0] ** 2), (0, 1))(b, a)
    assert_same((found.feedforward, found.feedback), want)


def of_ba(b, a, x):
    """Return the loss of a filter by SciPy's b and a, normalised by hand."""
    return jnp.sum(filtered(x, (b / a[0])[None], (-a[1:] / a[0])[None])[0] ** 2)


def test_a_bank_of_a_transfer_function_is_differentiated_along_it():
    x, *_ = arrays()
    b, a = jnp.array([1.0, 0.5, 0.2]), jnp.array([2.0, -0.6, 0.1])
    want = jax.grad(of_ba, (0, 1))(b, a, x)
    bank = mr.RecurrenceBank.from_ba(b, a, backend=BACKEND)
    found = jax.jit(jax.grad(lambda bank: jnp.sum(bank(x)[0] ** 2)))(bank)
    leaves, tree = jax.tree.flatten(found)
    assert_same(tuple(leaves), want)
    assert repr(jax.tree.unflatten(tree, leaves)) == repr(bank)

    def inside(b, a):
        return jnp.sum(mr.RecurrenceBank.from_ba(b, a, backend=BACKEND)(x)[0] ** 2)

    assert_same(jax.jit(jax.grad(inside, (0, 1)))(b, a), want)
    moved = jax.tree.map(lambda part: part + 1, bank)
    assert_same(moved(x)[0], mr.RecurrenceBank.from_ba(b + 1, a + 1, backend=BACKEND)(x)[0])


def test_gradients_of_sections():
    x, *_ = arrays()
    sos = jnp.array([[1.0, 0.5, 0.2, 2.0, -0.6, 0.1], [0.5, 0.1, 0.0, 1.0, 0.3, 0.2]])
    cascade = mr.RecurrenceBank.from_sos(sos, backend=BACKEND)
    found = jax.jit(jax.grad(lambda cascade: jnp.sum(cascade(x)[0] ** 2)))(cascade)

    def by_hand(sos):
        y = x
        for row in sos:
            y, _ = filtered(y, (row[:3] / row[3])[None], (-row[4:] / row[3])[None])
        return jnp.sum(y**2)

    rows = jax.jit(jax.grad(by_hand))(sos)
    assert_same(jax.tree.leaves(found), [part for row in rows for part in (row[:3], row[3:])])
    inside = jax.grad(lambda sos: jnp.sum(mr.RecurrenceBank.from_sos(sos, backend=BACKEND)(x)[0] ** 2))
    assert_same(jax.jit(inside)(sos), rows)


def test_new_values_compile_nothing():
    operands, count = arrays(), []

    @jax.jit
    def step(*operands):
        count.append(None)
        return jax.value_and_grad(loss(filtered), (0, 1, 2))(*operands)

    jax.block_until_ready([step(*operands), filtered(*operands)])
    others = [part + 1 for part in operands]
    with jax.no_tracing():
        jax.block_until_ready([step(*others), filtered(*others)])
    assert len(count) == 1


def test_nothing_leaves_the_device():
    operands = arrays()
    gradient = jax.jit(jax.grad(loss(filtered), (0, 1, 2)))
    jax.block_until_ready(gradient(*operands))
    with jax.transfer_guard("disallow"):
        jax.block_until_ready([gradient(*operands), filtered(*operands)])


def test_donation_and_debug_nans():
    x, b, a, *_ = arrays(length=80)
    want, _ = filtered(x, b, a)
    with jax.debug_nans(True):
        y, _ = jax.jit(filtered, donate_argnums=0)(jnp.array(x), b, a)
        jax.grad(loss(filtered), (0, 1, 2))(x, b, a)
    assert_same(y, want)
    with jax.debug_nans(True), pytest.raises(FloatingPointError):
        jax.block_until_ready(filtered(x.at[0, 0, 3].set(jnp.nan), b, a))


@pytest.mark.parametrize("axes", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("cut", ["batch", "channels"])
def test_shard_map(cut, axes):
    x, b, a, *_ = arrays()
    b, a = (jnp.concatenate([part, part[:1]]) for part in (b, a))
    mesh = jax.make_mesh((2,), ("d",), axis_types=(axes,))
    of_x, of_taps, of_y = {
        "batch": (PartitionSpec("d"), PartitionSpec(), PartitionSpec("d")),
        "channels": (PartitionSpec(), PartitionSpec("d"), PartitionSpec(None, "d")),
    }[cut]

    def value(function):
        return lambda *operands: jnp.sum(function(*operands) ** 2)

    def whole(x, b, a):
        return filtered(x, b, a)[0]

    want = whole(x, b, a), jax.grad(value(whole), (0, 1, 2))(x, b, a)
    with jax.set_mesh(mesh):
        sharded = jax.shard_map(whole, mesh=mesh, in_specs=(of_x, of_taps, of_taps), out_specs=of_y)
        specs = (of_x, of_taps, of_taps)
        placed = [jax.device_put(part, NamedSharding(mesh, spec)) for part, spec in zip((x, b, a), specs, strict=True)]
        got = jax.jit(sharded)(*placed), jax.jit(jax.grad(value(sharded), (0, 1, 2)))(*placed)
    assert_same(jax.device_get(got), jax.device_get(want))
