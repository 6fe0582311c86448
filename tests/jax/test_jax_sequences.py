"""Sequences of JAX's arrays: traced marks, by a kernel that programs call and by steps that XLA compiles."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import multirec as mr
from multirec.adjoint import vjp
from multirec.errors import ArgumentError, UnsupportedError

RESETS = np.array([[0, 0, 1, 0, 1, 1, 0], [1, 0, 0, 0, 0, 1, 0]], bool)
MARKS = {
    "resets": {"resets": RESETS},
    "lengths": {"lengths": np.array([3, 0])},
    "both": {"resets": RESETS, "lengths": np.array([7, 4])},
    "end_to_end": {"cu_seqlens": np.array([0, 1, 1, 7])},
    "all_cut": {"resets": RESETS[:1], "cu_seqlens": np.array([0, 2, 2, 7])},
}
CASES = [
    # marks, backend, layout, reverse, coefficients, dtype
    pytest.param("resets", "numba", "TBC", True, "varying", "float64", marks=pytest.mark.long),
    ("lengths", "numba", "BTC", True, "static", "complex128"),
    ("both", "numba", "BTC", False, "static", "float32"),
    ("end_to_end", "numba", "BCT", True, "varying", "float64"),
    pytest.param("all_cut", "numba", "BCT", False, "static", "float64", marks=pytest.mark.long),
    ("all_cut", "numba", "BTC", True, "static", "float64"),
    pytest.param("both", "jax", "TBC", True, "varying", "float64", marks=pytest.mark.long),
    ("end_to_end", "jax", "BTC", False, "static", "float32"),
]


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def arrays(kind, layout="BCT", taps="static", dtype="float64"):
    """Return x of 7 samples and 2 channels, feedforward, feedback, and both parts of a state, as NumPy's."""
    random = np.random.default_rng(0)

    def draw(*shape):
        values = random.standard_normal(shape)
        return (values + 1j * random.standard_normal(shape) if "complex" in dtype else values).astype(dtype)

    batch, states = (1, 3) if "cu_seqlens" in MARKS[kind] else (2, 2)
    axes = (2,) if taps == "static" else (batch, 2, 7)
    x, b, a = draw(batch, 2, 7), draw(*axes, 2), (0.4 * draw(*axes, 2)).astype(dtype)
    order = {"BCT": (0, 1, 2), "BTC": (0, 2, 1), "TBC": (2, 0, 1)}[layout]
    x, *state = (part.transpose(order).copy() for part in (x, draw(states, 2, 1), draw(states, 2, 2)))
    if taps != "static":
        b, a = (part.transpose(*order, 3).copy() for part in (b, a))
    return x, b, a, *state


def filtered(operands, marks, **choices):
    x, b, a, *state = operands
    return mr.recurrence(x, feedforward=b, feedback=a, state=tuple(state), **marks, **choices)


def assert_same(got, want, tolerance=1e-10):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), got, want)


@pytest.mark.parametrize(("kind", "backend", "layout", "reverse", "taps", "dtype"), CASES)
def test_values_states_and_gradients_are_those_of_numpy(kind, backend, layout, reverse, taps, dtype):
    operands, marks = arrays(kind, layout, taps, dtype), dict(MARKS[kind])
    if layout == "TBC" and "resets" in marks:
        marks["resets"] = marks["resets"].T
    options = {"layout": layout, "reverse": reverse}
    x, b, a, *state = operands
    want = filtered(operands, marks, backend="reference", **options)
    grads = jax.tree.map(lambda part: np.cos(part.real).astype(part.dtype), want)
    found = vjp(grads[0], x, feedforward=b, feedback=a, state=tuple(state), grad_state=grads[1],
                backend="reference", **marks, **options)  # fmt: skip

    @jax.jit
    def both(operands, marks, grads):
        y, pull = jax.vjp(lambda *own: filtered(own, marks, backend=backend, **options), *operands)
        return y, pull(jax.tree.map(jnp.conj, grads))

    y, got = both(operands, marks, grads)
    tolerance = 1e-4 if dtype == "float32" else 1e-10
    assert_same(y, want, tolerance)
    assert_same(got, tuple(map(np.conj, (*found[:3], *found.state))), tolerance)


@pytest.mark.parametrize("backend", ["jax", "numba"])
def test_new_marks_compile_nothing(backend):
    x, a = jnp.ones((2, 1, 7)), jnp.full((1, 1), 0.5)
    count = []

    def run(lengths):
        return mr.recurrence(x, feedback=a, lengths=lengths, backend=backend)[0]

    @jax.jit
    def step(lengths):
        count.append(None)
        return jax.value_and_grad(lambda x: mr.recurrence(x, feedback=a, lengths=lengths, backend=backend)[0].sum())(x)

    some, others = jnp.array([7, 7]), jnp.array([2, 5])
    jax.block_until_ready((step(some), run(some)))
    with jax.no_tracing():
        (value, gradient), y = step(others), run(others)
    assert len(count) == 1
    assert y[:, 0].tolist() == [[2 - 0.5**t if t < n else 0.0 for t in range(7)] for n in (2, 5)]
    assert gradient[:, 0].tolist() == [[2 - 0.5 ** (n - 1 - t) if t < n else 0.0 for t in range(7)] for n in (2, 5)]
    assert value == y.sum()


@pytest.mark.parametrize("backend", ["jax", "numba"])
def test_nothing_sees_padding_or_another_sequence(backend):
    gates = jnp.full((1, 6, 1), 2.0).at[0, 5].set(jnp.nan)
    values = jnp.ones((1, 6, 1)).at[0, 1].set(jnp.nan).at[0, 5].set(jnp.inf)
    resets = jnp.array([[False, False, True, False, False, False]])

    def total(gates, values, lengths):
        y, last = mr.scan(gates, values, resets=resets, lengths=lengths, backend=backend)
        return y[:, 2:].sum() + last.sum(), (y, last)

    lengths = jnp.array([5])
    (_, (y, last)), (to_gates, to_values) = jax.jit(jax.value_and_grad(total, (0, 1), has_aux=True))(
        gates, values, lengths
    )
    assert (y[0, 2:, 0].tolist(), last.tolist()) == ([1.0, 3.0, 7.0, 0.0], [[7.0]])
    assert to_values[0, :, 0].tolist() == [0.0, 0.0, 11.0, 5.0, 2.0, 0.0]
    assert to_gates[0, :, 0].tolist() == [0.0, 0.0, 0.0, 5.0, 6.0, 0.0]


@pytest.mark.parametrize(
    ("kind", "backend"),
    [
        ("both", "numba"),
        pytest.param("end_to_end", "numba", marks=pytest.mark.long),
        pytest.param("end_to_end", "jax", marks=pytest.mark.long),
    ],
)
def test_vmap_of_marks_and_gradients(kind, backend):
    operands = [*map(jnp.asarray, arrays(kind))]
    marks = jax.tree.map(lambda part: jnp.stack([part, part[::-1]]), MARKS[kind])
    if kind == "end_to_end":
        marks = {"cu_seqlens": jnp.array([[0, 1, 1, 7], [0, 2, 4, 7]])}

    def value(x, a, marks):
        y, state = filtered((x, operands[1], a, *operands[3:]), marks, backend=backend)
        return jnp.sum(y**2) + sum(jnp.sum(part) for part in state)

    run = jax.jit(jax.value_and_grad(value, (0, 1)))
    xs = jnp.stack([operands[0], -operands[0]])
    got = jax.jit(jax.vmap(jax.value_and_grad(value, (0, 1)), (0, None, 0)))(xs, operands[2], marks)
    for at in range(2):
        want = run(xs[at], operands[2], {name: part[at] for name, part in marks.items()})
        assert_same(jax.tree.map(lambda part, at=at: part[at], got), want)


def test_tangents_and_second_derivatives():
    x, a, lengths = jnp.array([[[1.0, 2.0, 3.0, 4.0]]]), jnp.array([[0.5]]), jnp.array([3])

    def value(a):
        return jnp.sum(mr.recurrence(x, feedback=a, lengths=lengths, backend="numba")[0])

    # 1 + (2 + a) + (3 + 2 a + a²)
    assert_same(jax.jvp(value, (a,), (jnp.ones_like(a),)), (8.75 - 1.0, 4.0))
    assert_same(jax.jit(jax.hessian(value))(a).item(), 2.0)


def test_half_types_keep_their_states_in_float32():
    dtype = "bfloat16"
    x, a = jnp.linspace(0, 1, 64, dtype=dtype)[None, None], jnp.array([[0.9]], dtype)
    wide = (np.asarray(part.astype("float32")) for part in (x, a))
    want = mr.recurrence(next(wide), feedback=next(wide), cu_seqlens=[0, 20, 64], backend="reference")
    y, state = mr.recurrence(x, feedback=a, cu_seqlens=[0, 20, 64], backend="numba")
    assert (y.dtype, state.outputs.dtype) == (dtype, "float32")
    assert_same(state.outputs, want[1].outputs, 1e-5)
    assert_same(y.astype("float32"), want[0], 1e-2)


def test_a_block_without_samples_returns_its_state():
    x, state = jnp.zeros((1, 2, 0)), mr.State(jnp.ones((0, 2, 1)), jnp.ones((0, 2, 1)))
    y, after = mr.recurrence(x, feedforward=np.ones((2, 2)), feedback=np.ones((2, 1)), state=state, cu_seqlens=[0])
    assert (y.shape, after.inputs.shape, after.outputs.shape) == ((1, 2, 0), (0, 2, 1), (0, 2, 1))
    _, after = mr.recurrence(
        jnp.zeros((2, 1, 0)), feedback=np.ones((1, 1)), state=(None, jnp.ones((2, 1, 1))), lengths=[0, 0]
    )
    assert after.outputs.tolist() == [[[1.0]], [[1.0]]]


def test_values_that_nobody_looks_at_are_put_in_order():
    x, a = jnp.ones((1, 1, 7)), jnp.full((1, 1), 0.5)
    run = jax.jit(lambda marks: mr.recurrence(x, feedback=a, backend="numba", **marks)[0])
    assert_same(run({"cu_seqlens": jnp.array([3, 9, 2, 5])}), run({"cu_seqlens": jnp.array([0, 2, 7, 7])}))
    assert_same(run({"lengths": jnp.array([99])}), run({"lengths": jnp.array([7])}))
    with pytest.raises(ArgumentError, match="goes from 3 to 5"):
        mr.recurrence(x, feedback=a, cu_seqlens=jnp.array([3, 9, 2, 5]), backend="numba")


def test_a_backend_without_a_kernel_of_sequences():
    x, a = jnp.ones((1, 1, 4)), jnp.full((1, 1), 0.5)
    run = jax.jit(lambda lengths: mr.recurrence(x, feedback=a, lengths=lengths, backend="reference")[0])
    with pytest.raises(
        UnsupportedError, match=r"lengths is traced.*'reference' has no kernel.*backend='auto' or 'jax'"
    ):
        run(jnp.array([3]))
    assert mr.recurrence(x, feedback=a, lengths=[2], backend="reference")[0].tolist() == [[[1.0, 1.5, 0.0, 0.0]]]


def test_explain_says_how():
    x, a = jnp.ones((1, 1, 4)), jnp.full((1, 1), 0.5)
    words = {"numba": "one pass", "jax": "sample by sample", "reference": "side by side"}
    for backend, found in words.items():
        assert found in mr.explain(x, feedback=a, lengths=[2], backend=backend).notes[-1]


@pytest.mark.long
def test_banks_and_sections_take_traced_marks():
    x, lengths = arrays("both")[0], np.array([7, 4])
    for bank in (
        mr.RecurrenceBank(feedforward=np.ones((2, 2)), feedback=np.array([[0.5], [0.2]]), backend="jax"),
        mr.RecurrenceBank.from_sos([[0.2, 0.3, 0.1, 1, -0.5, 0.2], [0.2, 0.1, 0.1, 1, -0.3, 0.1]], backend="jax"),
    ):
        y, state = jax.jit(lambda x, resets, lengths, bank=bank: bank(x, resets=resets, lengths=lengths))(
            x, RESETS, lengths
        )
        want, after = bank(x, resets=RESETS, lengths=lengths)
        assert_same((y, jax.tree.leaves(state)), (want, jax.tree.leaves(after)))
