"""Several sequences in one call are what each is alone: values, states and all gradients."""

import itertools
import warnings

import numpy as np
import pytest
import torch

import multirec as mr
from multirec.testing import Case, Subject
from multirec.testing.libraries import NumpyLibrary, TorchLibrary

LIBRARIES = NumpyLibrary(), TorchLibrary()


def cases():
    """Yield each kind of marks both ways, with everything else varied along."""
    marks = ("resets", "lengths", "both", "end_to_end", "all_cut")
    for at, (kind, reverse, again) in enumerate(itertools.product(marks, (False, True), range(2))):
        yield Case(
            marks=kind,
            reverse=reverse,
            batch=(1,) if kind in ("end_to_end", "all_cut") else (3,),
            channels=2,
            length=(13, 13, 21)[at % 3],
            order=at % 5,
            input_order=(1, 0, 3, 2)[at % 4],
            layout=("BCT", "BTC", "TBC")[at % 3],
            feedforward=("static", "per_example", "none", "time_varying")[(at + again) % 4],
            feedback=("static", "per_example", "time_varying")[at // 3 % 3],
            shared=at % 4 == 3,
            state=("both", "none", "outputs")[at % 3],
            through=("both", "y", "both", "state")[at // 2 % 4],
            dtype=("float64", "float64", "complex128")[at // 2 % 3],
            seed=at,
        )


@pytest.mark.parametrize("backend", ["reference", "separate"])
@pytest.mark.parametrize("case", [*cases()], ids=str)
def test_sequences_are_what_each_alone_is(case, backend):
    for library in LIBRARIES:
        assert Subject(backend, library, case.dtype).outcome(case, True).wrong == {}


@pytest.mark.parametrize("backend", ["reference", "separate"])
@pytest.mark.parametrize("reverse", [False, True])
def test_blocks_continue(backend, reverse):
    random = np.random.default_rng(0)
    x, b = random.standard_normal((2, 3, 2, 20)), random.standard_normal((2, 4))
    a, resets = random.uniform(-0.3, 0.3, (2, 3)), random.random((2, 3, 20)) < 0.15
    options = {"feedforward": b, "feedback": a, "reverse": reverse, "backend": backend}
    whole, last = mr.recurrence(x, resets=resets, **options)
    state, parts = None, []
    blocks = [slice(0, 1), slice(1, 8), slice(8, 10), slice(10, 20)]
    for block in blocks[::-1] if reverse else blocks:
        y, state = mr.recurrence(x[..., block], state=state, resets=resets[..., block], **options)
        parts.append(y)
    np.testing.assert_allclose(np.concatenate(parts[::-1] if reverse else parts, -1), whole, atol=1e-13)
    for one, other in zip(state, last, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-13)


@pytest.mark.parametrize("backend", ["reference", "separate"])
def test_padding_is_zero_and_nothing_else_is_touched_by_what_is_there(backend):
    x = torch.randn(2, 1, 6, dtype=torch.float64)
    x[0, :, 2:] = torch.nan
    x[1, :, 4:] = torch.inf
    leaves = [x, torch.tensor([[0.5, 0.25]], dtype=torch.float64), torch.tensor([[0.9]], dtype=torch.float64)]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    y, state = mr.recurrence(leaves[0], feedforward=leaves[1], feedback=leaves[2], lengths=[2, 4], backend=backend)
    assert y.detach()[0, 0, 2:].tolist() == [0.0] * 4
    gradients = torch.autograd.grad((y * 2).sum() + state.outputs.sum() + state.inputs.sum(), leaves)
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert gradients[0][1, 0, 4:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("backend", ["reference", "separate"])
def test_a_sequence_that_is_not_finite_spoils_no_other(backend):
    x, a = np.ones((1, 1, 6)), np.array([[2.0]])
    x[0, 0, 1] = np.nan
    y, state = mr.recurrence(x, feedback=a, cu_seqlens=[0, 3, 6], backend=backend)
    assert y[0, 0, 3:].tolist() == [1.0, 3.0, 7.0]
    assert state.outputs[1].tolist() == [[7.0]]
    weights = np.ones_like(x) * [0, 0, 0, 1, 1, 1]
    found = mr.adjoint.vjp(weights, x, feedback=a, cu_seqlens=[0, 3, 6], backend=backend)
    assert found.x.tolist() == [[[0.0, 0.0, 0.0, 7.0, 3.0, 1.0]]]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_types_are_rounded_once(dtype):
    x = torch.randn(1, 1, 50, dtype=getattr(torch, dtype))
    options = {"feedback": torch.tensor([[0.9]]), "cu_seqlens": [0, 17, 50]}
    want, last = mr.recurrence(x.float(), **options, backend="reference")
    for backend in ("reference", "separate"):
        y, state = mr.recurrence(x, **options, backend=backend)
        assert state.outputs.dtype is torch.float32
        torch.testing.assert_close(state.outputs, last.outputs)
        torch.testing.assert_close(y, want.to(x.dtype))


@pytest.mark.parametrize("backend", ["reference", "separate"])
@pytest.mark.parametrize(("layout", "lengths"), [("BCT", [1, 2, 0, 2]), ("TBC", [4, 1, 0])])
def test_out_is_written_to(backend, layout, lengths):
    x = np.random.default_rng(0).standard_normal((4, 3, 2))
    options = {"feedback": np.array([[0.5]]), "feedforward": np.ones((1, 2)), "layout": layout, "backend": backend}
    want, last = mr.recurrence(x, lengths=lengths, **options)
    for given, out in ((x, np.full_like(want, np.nan)), (written := x.copy(), written)):
        y, state = mr.recurrence(given, lengths=lengths, out=out, **options)
        assert y is out
        assert np.array_equal(y, want)
        assert np.array_equal(state.inputs, last.inputs)


def test_nothing_but_channels_is_missing():
    x, a = np.zeros((2, 0, 6)), np.zeros((0, 1))
    y, state = mr.recurrence(x, feedback=a, lengths=range(2, 4), backend="reference")
    assert (y.shape, state.outputs.shape) == ((2, 0, 6), (2, 0, 1))
    assert mr.adjoint.vjp(y, x, feedback=a, lengths=[2, 3], backend="reference").x.shape == (2, 0, 6)


@pytest.mark.parametrize("backend", ["reference", "separate"])
def test_gradients_that_are_not_finite_warn_of_nothing(backend):
    x, taps = np.full((1, 1, 6), 6e4, np.float16), np.array([[1, 1.5]], np.float16)
    x[0, 0, 4:] = np.inf, -np.inf
    state = mr.State(np.full((2, 1, 1), 6e4, np.float16), None)
    options = {"feedforward": taps, "feedback": np.array([[1.5]], np.float32), "backend": backend}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for marks in ({"cu_seqlens": [0, 3, 6]}, {}):
            of_state = state if marks else mr.State(state.inputs[:1], None)
            found = mr.adjoint.vjp(x, x, grad_state=of_state, **options, **marks)
            assert not np.isfinite(found.x[0, 0, 2])


def test_a_design_that_float32_spoils_is_computed_in_float64():
    x, a = np.ones((1, 1, 8), "float32"), np.array([[1.9999998, -0.9999998]])
    for backend in ("reference", "separate"):
        assert mr.recurrence(x, feedback=a, cu_seqlens=[0, 3, 8], backend=backend)[1].outputs.dtype == np.float64


def test_explain_says_how():
    x, a = np.ones((1, 1, 4), "float16"), np.array([[0.5]], "float32")
    notes = {name: mr.explain(x, feedback=a, lengths=[3], backend=name).notes for name in ("reference", "separate")}
    assert "side by side" in notes["reference"][-1]
    assert "one pass" in notes["separate"][-1]


@pytest.mark.parametrize(
    "bank",
    [
        mr.RecurrenceBank.from_ba([1, 0.5], [1, -0.5, 0.1], backend="reference"),
        mr.RecurrenceBank.from_sos([[1, 0.2, 0, 1, -0.5, 0.1], [1, 1, 0, 1, 0.3, 0]], backend="reference"),
    ],
    ids=["bank", "cascade"],
)
def test_banks_and_cascades(bank):
    x = np.random.default_rng(0).standard_normal((3, 2, 12))
    y, state = bank(x, lengths=[5, 12, 0])
    for row, length in enumerate([5, 12, 0]):
        alone, own = bank(x[row : row + 1, :, :length])
        np.testing.assert_allclose(y[row, :, :length], alone[0])
        assert not y[row, :, length:].any()
        for part, other in zip(np.ravel(leaves(state)), np.ravel(leaves(own)), strict=True):
            np.testing.assert_allclose(part[row], other[0])
    resumed, _ = bank(x, state, resets=np.zeros((3, 12), bool))
    np.testing.assert_allclose(resumed, bank(x, state)[0])


def leaves(state):
    """Return the parts of a state, or of one a section."""
    parts = state if isinstance(state, mr.State) else itertools.chain(*state)
    found = np.empty(2 if isinstance(state, mr.State) else 2 * len(state), object)
    found[:] = [*parts]
    return found
