"""Sequences of tensors: derivatives of every kind, compilers, and what backward keeps."""

import numpy as np
import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

import multirec as mr
from multirec.errors import UnsupportedError

MARKS = {
    "resets": {"resets": torch.tensor([[False, True, False, False, True], [True, False, False, False, False]])},
    "lengths": {"lengths": torch.tensor([3, 0])},
    "end_to_end": {"cu_seqlens": torch.tensor([0, 1, 1, 5])},
}
KINDS = pytest.mark.parametrize("kind", MARKS)


def operands(kind, *, dtype=torch.float64):
    """Return x, feedforward, feedback and a state of order 2, which want gradients."""
    torch.manual_seed(0)
    batch, states = (1, 3) if kind == "end_to_end" else (2, 2)
    shapes = (batch, 2, 5), (2, 2), (2, 2), (states, 2, 1), (states, 2, 2)
    return [(torch.randn(shape, dtype=dtype) * 0.4).requires_grad_() for shape in shapes]


def function(kind, backend, **others):
    """Return a function of tensors alone."""

    def filtered(x, b, a, inputs, outputs):
        y, state = mr.recurrence(
            x, feedforward=b, feedback=a, state=mr.State(inputs, outputs), backend=backend, **MARKS[kind], **others
        )
        return y, *state

    return filtered


@pytest.mark.parametrize(("kind", "backend"), [("resets", "reference"), *((kind, "separate") for kind in MARKS)])
def test_derivatives(kind, backend):
    filtered, given = function(kind, backend), operands(kind)
    assert torch.autograd.gradcheck(filtered, given, check_forward_ad=True, check_batched_grad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda *t: filtered(*t)[::2], given, fast_mode=True)


@KINDS
def test_a_mapped_axis(kind):
    x, *others = operands(kind)
    several = torch.stack([x, x * 2]).detach()
    filtered = function(kind, "separate")
    mapped = torch.func.vmap(lambda one: filtered(one, *others)[0])(several)
    for one, other in zip(several, mapped, strict=True):
        torch.testing.assert_close(other, filtered(one, *others)[0])
    gradient = torch.func.grad(lambda one: filtered(one, *others)[0].square().sum())(x)
    torch.testing.assert_close(gradient, torch.autograd.grad(filtered(x, *others)[0].square().sum(), x)[0])


def test_marks_that_are_mapped_are_refused():
    with pytest.raises(UnsupportedError, match="lengths is traced or transformed"):
        torch.func.vmap(lambda n: mr.recurrence(torch.ones(2, 1, 5), feedback=torch.ones(1, 1), lengths=n)[0])(
            torch.ones(3, 2, dtype=torch.int64)
        )
    with pytest.raises(UnsupportedError, match=r"torch\.jit\.trace"):
        torch.jit.trace(lambda x: mr.recurrence(x, feedback=torch.ones(1, 1), lengths=[1])[0], torch.ones(1, 1, 4))


@pytest.mark.parametrize(("kind", "backend"), [("lengths", "reference"), *((kind, "separate") for kind in MARKS)])
def test_compiled_in_one_graph(kind, backend):
    filtered, given = function(kind, backend), operands(kind, dtype=torch.float32)

    def loss(*tensors):
        return sum(part.sin().sum() for part in filtered(*tensors))

    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    for one, other in zip(
        torch.autograd.grad(loss(*given), given), torch.autograd.grad(compiled(*given), given), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_the_operator_keeps_its_promises():
    x, b, a, inputs, outputs = operands("lengths")
    lengths = torch.tensor([3, 0])
    tests = "test_schema", "test_faketensor", "test_aot_dispatch_static"
    x = x.detach().transpose(1, 2).contiguous().requires_grad_()
    inputs, outputs = (part.detach().transpose(1, 2).contiguous() for part in (inputs, outputs))
    arguments = (x, b, a, inputs, outputs, None, lengths, None, "BTC", True, "separate")
    torch.library.opcheck(torch.ops.multirec.sequences.default, arguments, test_utils=tests)


def test_what_traces_operators_traces_no_values():
    x, lengths = torch.randn(2, 2, 1, 5), torch.tensor([3, 0])

    def filtered(x, lengths):
        return mr.recurrence(x, feedback=torch.full((1, 1), 0.5), lengths=lengths, backend="reference")[0]

    traced = make_fx(filtered)(x[0], lengths)
    torch.testing.assert_close(traced(x[1], lengths + 2), filtered(x[1], lengths + 2))
    torch.testing.assert_close(
        torch.func.jvp(lambda one: filtered(one, lengths), (x[0],), (x[1],))[1], filtered(x[1], lengths)
    )


def test_sizes_without_values():
    x = torch.zeros(1, 2, 9, device="meta")
    y, state = mr.recurrence(x, feedback=torch.zeros(2, 3, device="meta"), cu_seqlens=[0, 4, 9])
    assert y.shape == x.shape
    assert state.outputs.shape == (2, 2, 3)


def test_backward_is_of_the_marks_that_the_call_had():
    x, b, a, *_ = operands("resets")
    for kind, given in MARKS.items():
        x = operands(kind)[0]
        own = {name: part.clone() for name, part in given.items()}
        y, _ = mr.recurrence(x, feedforward=b, feedback=a, backend="separate", **own)
        want = torch.autograd.grad(y.sum(), x, retain_graph=True)[0]
        for part in own.values():
            part.fill_(0)
        assert torch.equal(torch.autograd.grad(y.sum(), x)[0], want)


def test_designs_of_numpy_and_frozen_operands():
    x, _, a, _, outputs = operands("lengths")
    state = mr.State(None, outputs.detach())
    y, _ = mr.recurrence(x, feedback=a.detach().numpy(), state=state, lengths=np.array([3, 0]), backend="separate")
    want, _ = mr.recurrence(x, feedback=a, state=state, lengths=[3, 0], backend="reference")
    one, other = (torch.autograd.grad(part.square().sum(), x)[0] for part in (y, want))
    torch.testing.assert_close(one, other)


def test_everything_is_padding_and_gradients_are_zeros():
    x = torch.ones(2, 1, 4, requires_grad=True)
    for backend in ("reference", "separate"):
        y, state = mr.recurrence(x, feedback=torch.ones(1, 1), lengths=[0, 0], backend=backend)
        (gradient,) = torch.autograd.grad(y.sum() + state.outputs.sum(), x)
        assert not gradient.any()
    y, _ = mr.recurrence(x[..., :0], feedback=torch.ones(1, 1), resets=torch.ones(2, 0, dtype=torch.bool))
    assert y.shape == (2, 1, 0)
    y, _ = mr.recurrence(x[:1, :, :0], feedback=torch.ones(1, 1), cu_seqlens=[0])
    assert y.shape == (1, 1, 0)
