"""Blocks in pieces equal the whole: values, states and gradients, however they are cut and composed."""

from functools import reduce

import numpy as np
import pytest
from distributed.in_pieces import JaxPieces, NumpyPieces, TorchPieces
from hypothesis import given

import multirec as mr
from multirec.distributed import compose, replay, summarize
from multirec.testing import assert_close
from multirec.testing.libraries import JaxLibrary, NumpyLibrary, TorchLibrary
from multirec.testing.problems import Case
from multirec.testing.strategies import cases

torch = pytest.importorskip("torch")

UNEVEN = (0, 1, 1, 4, 9)
"""Where blocks end: two of them are empty, others shorter than q and p."""


def assert_equal(case, pieces, whole, gradients=False, backend="reference", cuts=UNEVEN):
    pieces.cuts = cuts
    got, expected = (library.run(case, backend, gradients) for library in (pieces, whole))
    assert not got.faults
    eps = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 4e-6, "complex64": 4e-6}.get(case.dtype, 1e-13)
    assert got.values.keys() == expected.values.keys()
    for name, values in expected.values.items():
        assert_close(name, got.values[name], values, eps * (1 + 10 * np.abs(values).max(initial=0)))


@given(cases(length=13, rounded_state=False))
def test_pieces_equal_the_whole(case):
    assert_equal(case, NumpyPieces(), NumpyLibrary())


CASES = [
    Case(order=8, input_order=4, layout="BTC"),
    Case(order=5, input_order=1, layout="TBC", reverse=True, shared=True, batch=(2, 3)),
    Case(order=3, feedback="time_varying", input_order=2, reverse=True),
    Case(order=2, feedforward="time_varying", feedback="per_example", layout="BTC", ones=("channels",)),
    Case(order=1, feedforward="none", feedback="time_varying", layout="BTC", marks="resets"),
    Case(order=2, input_order=3, marks="resets", reverse=True, layout="TBC"),
    Case(dtype="complex128", order=1, feedforward="none", feedback="time_varying"),
    Case(dtype="float16", order=2, input_order=1),
    Case(feedback="none", input_order=4, state="inputs"),
    Case(length=2, order=4, input_order=3),
]


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_gradients_through_pieces_equal_those_of_the_whole(case):
    assert_equal(case, TorchPieces(), TorchLibrary(), gradients=True)


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_values_of_long_blocks_need_little_memory(case, monkeypatch):
    monkeypatch.setattr("multirec._summaries.summed._MEMORY", {"cpu": 1})
    monkeypatch.setattr("multirec._summaries.summed._LEAST", 2)
    assert_equal(case, NumpyPieces(), NumpyLibrary())
    assert_equal(case, TorchPieces(), TorchLibrary())


@pytest.mark.parametrize("case", CASES[:2], ids=repr)
def test_every_backend_computes_pieces(case):
    assert_equal(case, NumpyPieces(), NumpyLibrary(), backend="auto")


TRANSFORMS = {
    "jvp": lambda f, x, a: torch.func.jvp(f, (x, a), (x, a))[1],
    "vmap": lambda f, x, a: torch.func.vmap(f, (None, 0))(x, torch.stack([a, a / 2])),
    "hessian": lambda f, x, a: torch.func.hessian(lambda a: f(x, a).sum())(a),
}


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_torch_transforms_pieces(transform):
    x, a = torch.ones(1, 2, 7, dtype=torch.float64), torch.full((2, 1), 0.5, dtype=torch.float64)
    start = mr.State(None, torch.ones(1, 2, 1, dtype=torch.float64))
    options = {"feedforward": np.ones((2, 3)), "backend": "reference"}

    def pieces(x, a):
        first, second = (summarize(part, feedback=a, **options) for part in (x[..., :3], x[..., 3:]))
        return compose(first, second).after(start).outputs

    def whole(x, a):
        return mr.recurrence(x, feedback=a, state=start, **options)[1].outputs

    torch.testing.assert_close(transform(pieces, x, a), transform(whole, x, a))


@pytest.mark.long
def test_torch_compiles_pieces():
    x, a = torch.randn(2, 1, 9), torch.full((1, 1), 0.5)
    compiled = torch.compile(lambda x: summarize(x, feedback=a).end.outputs, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), summarize(x, feedback=a).end.outputs)


def test_jax_traces_pieces():
    pytest.importorskip("jax")
    case = Case(order=2, input_order=2, batch=(1,), channels=2, length=7)
    assert_equal(case, JaxPieces(), JaxLibrary(), gradients=True, cuts=(3,))


def test_jax_vmaps_pieces_and_scans_over_summaries():
    jax = pytest.importorskip("jax")
    x = jax.numpy.asarray(np.random.default_rng(1).standard_normal((3, 1, 4)), "float32")
    taps = {"feedforward": np.ones((1, 2), "float32"), "feedback": np.array([[0.5]], "float32")}

    @jax.jit
    def scanned(x):
        found = jax.vmap(lambda block: summarize(block, **taps))(x)
        return jax.tree.map(lambda leaf: leaf[-1], jax.lax.associative_scan(jax.vmap(compose), found))

    last = scanned(x)
    _, state = mr.recurrence(np.concatenate([*np.asarray(x)], -1), **taps)
    assert_close("outputs", np.asarray(last.end.outputs), state.outputs, 1e-6)
    assert_close("inputs", np.asarray(last.end.inputs), state.inputs, 0.0)


def test_an_empty_block_changes_nothing():
    x, a = np.ones((2, 3, 4)), np.full((3, 2), 0.25)
    block, empty = (summarize(part, feedback=a) for part in (x, x[..., :0]))
    for both in (compose(block, empty), compose(empty, block)):
        assert np.array_equal(both.end.outputs, block.end.outputs)
        assert np.array_equal(both.transition, block.transition)


def test_static_coefficients_have_one_transition_for_all_examples():
    x, b, a = np.ones((5, 3, 4)), np.ones((1, 3)), np.full((3, 2), 0.25)
    assert summarize(x, feedforward=b, feedback=a).transition.shape == (1, 3, 2, 4)
    assert summarize(x, feedforward=b, feedback=a[:1], resets=np.ones((5, 4), bool)).transition.shape == (1, 1, 2, 4)


def test_a_reset_cuts_the_chain_even_of_what_is_not_finite():
    x, a = np.ones((2, 1, 4)), np.array([[0.5]])
    resets = np.array([[False, False, True, False], [False] * 4])
    after = summarize(x, feedback=a, resets=resets).after((None, np.full((2, 1, 1), np.nan)))
    assert after.outputs[0] == 1.5
    assert np.isnan(after.outputs[1])


@pytest.mark.parametrize("size", [1e30, np.inf, np.nan])
def test_no_warning_of_numpy_gets_out(size):
    x, gates = np.full((1, 2, 5), size, "float32"), np.full((1, 2, 5, 1), size, "float32")
    taps = {"feedforward": np.full((2, 2), size, "float32"), "backend": "reference"}
    with np.errstate(all="raise"):
        for feedback, rest in ((gates, {}), (gates, taps), (np.zeros((2, 2), "float32"), taps)):
            block = summarize(x, feedback=feedback, **{"backend": "reference"} | rest)
            assert not np.isfinite(compose(block, block).after(block.end).outputs).any()


def test_summaries_keep_the_precision_of_states():
    x, a = np.ones((2, 1, 9), "float16"), np.array([[0.5]], "float16")
    block = summarize(x, feedback=a)
    assert block.transition.dtype == block.end.outputs.dtype == np.float32
    assert summarize(x, feedback=a, compute_dtype="float64").transition.dtype == np.float64


def test_only_what_reaches_the_end_is_looked_at():
    x, b, a = np.random.default_rng(2).standard_normal((2, 3, 4000)), np.ones((3, 3)), np.full((3, 2), 0.1)
    block, (_, state) = (run(x, feedforward=b, feedback=a) for run in (summarize, mr.recurrence))
    assert not block.transition.any()
    assert_close("outputs", block.end.outputs, state.outputs, 1e-14)
    x[1, 2, 0] = np.nan
    assert np.isnan(summarize(x, feedforward=b, feedback=a).end.outputs[1, 2]).all()


@pytest.mark.parametrize("name", ["high-pass 20 Hz", "notch 50 Hz"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pieces_lose_no_more_than_stepping(name, dtype):
    signal = pytest.importorskip("scipy.signal")
    b, a = signal.butter(2, 20, "high", fs=48000) if name.startswith("high") else signal.iirnotch(50, 30, fs=48000)
    b, a = (np.asarray(part, dtype) for part in (b, a))
    x = np.random.default_rng(3).standard_normal((32, 1, 20000)).astype(dtype)
    taps = {"feedforward": b[None], "feedback": -a[None, 1:], "compute_dtype": dtype}
    truth = signal.lfilter(b.astype("longdouble"), a.astype("longdouble"), x.astype("longdouble"))
    stepped = signal.lfilter(b, a, x)
    blocks = np.split(x, [1000, 1001, 9000], axis=-1)
    before = reduce(compose, [summarize(block, **taps) for block in blocks[:-1]]).after(None)
    y, _ = replay(blocks[-1], before, **taps)
    errors = [np.sqrt(np.mean((found - truth[..., 9000:]) ** 2)) for found in (y, stepped[..., 9000:])]
    assert errors[0] < 2 * errors[1]
