"""`nn.RecurrenceLayer`: the projection and the recurrence, sequence first, state in and out."""

import copy
import pickle

import pytest
import torch

import multirec as mr
from multirec import nn as mnn
from multirec.errors import ArgumentError, DtypeError, FamilyError, ShapeError


def by_hand(layer, x):
    feedforward, feedback = layer.coefficients()
    u = layer.projection(x) * feedforward[:, 0]
    outs = []
    for t in range(len(u)):
        past = [feedback[:, k] * outs[t - 1 - k] for k in range(min(layer.order, t))]
        outs.append(u[t] + sum(past))
    return torch.stack(outs)


@pytest.mark.parametrize("order", [0, 1, 2, 4])
@pytest.mark.parametrize("bias", [True, False])
def test_is_a_projection_and_a_recurrence(order, bias):
    layer = mnn.RecurrenceLayer(3, 6, order=order, bias=bias, dtype=torch.float64)
    x = torch.randn(12, 2, 3, dtype=torch.float64, requires_grad=True)
    outs, state = layer(x)
    expected = by_hand(layer, x)
    torch.testing.assert_close(outs, expected)
    torch.testing.assert_close(state.outputs, outs[12 - order :])
    wanted = [x, *(weight for weight in layer.parameters() if weight.numel())]
    got = torch.autograd.grad(outs.square().sum(), wanted)
    torch.testing.assert_close(got, torch.autograd.grad(expected.square().sum(), wanted))


def test_features_last_batch_first_and_reverse():
    layer = mnn.RecurrenceLayer(3, 5, dtype=torch.float64)
    twin = mnn.RecurrenceLayer(3, 5, layout="BTC", reverse=True, dtype=torch.float64)
    twin.load_state_dict(layer.state_dict())
    x = torch.randn(9, 2, 3, dtype=torch.float64)
    flipped = x.flip(0).transpose(0, 1)
    torch.testing.assert_close(twin(flipped)[0], layer(x)[0].flip(0).transpose(0, 1))
    alone, _ = layer(x[:, 0])
    torch.testing.assert_close(alone, layer(x)[0][:, 0])


def test_resumes_from_its_state_with_gradients_through_it():
    layer = mnn.RecurrenceLayer(3, 5, dtype=torch.float64)
    x = torch.randn(20, 2, 3, dtype=torch.float64)
    whole, _ = layer(x)
    first, state = layer(x[:8])
    rest, _ = layer(x[8:], state)
    torch.testing.assert_close(torch.cat([first, rest]), whole)
    weights = list(layer.parameters())
    got = torch.autograd.grad(first.square().sum() + rest.square().sum(), weights)
    torch.testing.assert_close(got, torch.autograd.grad(whole.square().sum(), weights))
    cut, _ = layer(x[8:], mnn.detach_state(state))
    torch.testing.assert_close(cut, rest)


def test_keeps_the_power_of_noise_whatever_its_memory():
    torch.manual_seed(0)
    layer = mnn.RecurrenceLayer(8, 64)
    x = torch.randn(3000, 4, 8)
    share = layer(x)[0].square().mean((0, 1)) / layer.projection(x).square().mean((0, 1))
    assert share.median() < 3
    layer.projection.bias.data.zero_()
    share = layer(x)[0].square().mean((0, 1)) / layer.projection(x).square().mean((0, 1))
    assert 0.6 < share.median() < 1.4


def test_init_state():
    layer = mnn.RecurrenceLayer(3, 5)
    x = torch.randn(7, 2, 3)
    zeros = layer.init_state(x)
    assert isinstance(zeros, mr.State)
    assert zeros.inputs.shape == (0, 2, 5)
    assert zeros.outputs.shape == (2, 2, 5)
    torch.testing.assert_close(layer(x, zeros)[0], layer(x)[0])


def test_under_autocast():
    layer = mnn.RecurrenceLayer(3, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outs, state = layer(torch.randn(7, 2, 3))
        again, _ = layer(torch.randn(7, 2, 3), state)
    assert outs.dtype == again.dtype == torch.bfloat16


def test_copies_and_repr():
    layer = mnn.RecurrenceLayer(3, 5, order=1)
    x = torch.randn(7, 2, 3)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        torch.testing.assert_close(twin(x)[0], layer(x)[0], rtol=0, atol=0)
    assert repr(layer).startswith("RecurrenceLayer(\n  3, 5, order=1\n")
    assert (layer.inputs_dim, layer.hidden_dim, layer.order) == (3, 5, 1)
    b, a = layer.ba()
    assert (b.shape, a.shape) == ((5, 1), (5, 2))
    layer.reset_parameters()
    assert layer.double()(x.double())[0].dtype == torch.float64


def test_compiles_whole_with_gradients():
    layer = mnn.RecurrenceLayer(3, 5)
    x = torch.randn(7, 2, 3)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    outs, weights = layer(x)[0], list(layer.parameters())
    got = torch.autograd.grad(compiled(x)[0].square().sum(), weights)
    torch.testing.assert_close(got, torch.autograd.grad(outs.square().sum(), weights))


def test_bad_arguments():
    layer = mnn.RecurrenceLayer(3, 5)
    with pytest.raises(ShapeError, match=r"3 features on the last axis, got shape \(7, 2, 4\)"):
        layer(torch.randn(7, 2, 4))
    with pytest.raises(ShapeError, match="features on the last axis"):
        layer(torch.randn(3))
    with pytest.raises(FamilyError, match=r"takes a torch tensor, got builtins.list"):
        layer([1.0])
    with pytest.raises(DtypeError, match=r"x is torch.float64 and the projection's weights are torch.float32"):
        layer(torch.randn(7, 2, 3, dtype=torch.float64))
    with pytest.raises(DtypeError, match="weights of a RecurrenceLayer"):
        mnn.RecurrenceLayer(3, 5, dtype=torch.complex64)
    with pytest.raises(ArgumentError, match="Conv1d"):
        mnn.RecurrenceLayer(3, 5, layout="BCT")
    with pytest.raises(ArgumentError, match="hidden_dim"):
        mnn.RecurrenceLayer(3, 0)
    with pytest.raises(ShapeError, match="state"):
        layer(torch.randn(7, 2, 3), layer.init_state(torch.randn(7, 4, 3)))


def test_a_block_of_the_shape_of_the_feedback():
    layer = mnn.RecurrenceLayer(3, 2, order=2)
    x = torch.randn(6, 3)
    whole, _ = layer(x)
    parts, state = [], None
    for start in (0, 2, 4):
        outs, state = layer(x[start : start + 2], state)
        parts.append(outs)
    torch.testing.assert_close(torch.cat(parts), whole)


def test_packed_sequences_of_torch():
    layer = mnn.RecurrenceLayer(3, 4)
    sequences = [torch.randn(2, 3), torch.randn(5, 3)]
    outs, state = layer(torch.nn.utils.rnn.pack_sequence(sequences, enforce_sorted=False))
    for index, (own, x) in enumerate(zip(torch.nn.utils.rnn.unpack_sequence(outs), sequences, strict=True)):
        expected, after = layer(x[:, None])
        torch.testing.assert_close(own, expected[:, 0])
        torch.testing.assert_close(state.outputs[:, index], after.outputs[:, 0])
