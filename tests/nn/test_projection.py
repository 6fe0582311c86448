"""Projections of large blocks, in memory of ours: as torch's own, bit by bit, and in every way of calling them."""

import pytest
import torch
from torch import nn
from torch.nn.functional import linear as torch_linear
from torch.utils.checkpoint import checkpoint

from multirec import nn as mnn
from multirec._torch import linear as own
from multirec.nn._contract.projection import is_plain, project

T, B, INPUTS, OUTS = 256, 16, 8, 256


@pytest.fixture
def made(monkeypatch):
    """Count the products that are made in memory of ours."""
    shapes, product = [], own._product

    def counted(rows, matrix, bias=None):
        shapes.append((*rows.shape[:-1], matrix.shape[1]))
        return product(rows, matrix, bias)

    monkeypatch.setattr(own, "_product", counted)
    return shapes


def block(inputs=INPUTS, dtype=torch.float32, **kind):
    return torch.randn(T, B, inputs, dtype=dtype, generator=torch.Generator().manual_seed(0)).requires_grad_(**kind)


def weights(inputs=INPUTS, outs=OUTS, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    weight, bias = (torch.randn(*shape, dtype=dtype, generator=generator) for shape in ((outs, inputs), (outs,)))
    return weight.requires_grad_(), bias.requires_grad_()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("biased", [False, True])
def test_values_and_gradients_are_those_of_torch(made, biased, dtype):
    x, (weight, bias) = block(dtype=dtype), weights(dtype=dtype)
    given = (x, weight, bias if biased else None)
    wanted = [part for part in given if part is not None]
    y, expected = own.linear(*given), torch_linear(*given)
    assert torch.equal(y, expected)
    grad = torch.randn_like(y)
    found, known = (torch.autograd.grad(outs, wanted, grad) for outs in (y, expected))
    assert all(torch.equal(one, other) for one, other in zip(found, known, strict=True))
    with torch.no_grad():
        assert torch.equal(own.linear(*given), expected)
    assert made == [(T, B, OUTS), (T, B, INPUTS), (T, B, OUTS)]


def test_the_gradient_of_a_large_block_is_in_memory_of_ours(made):
    x, (weight, _) = block(OUTS), weights(OUTS, 2 * OUTS)
    (found,) = torch.autograd.grad(own.linear(x, weight, None).sum(), x)
    assert torch.equal(found, torch.autograd.grad(torch_linear(x, weight).sum(), x)[0])
    assert made == [(T, B, 2 * OUTS), (T, B, OUTS)]


def test_gradients_that_are_not_wanted_are_not_computed():
    x, (weight, bias) = block(requires_grad=False), weights()
    node = own.linear(x, weight, bias).grad_fn
    assert node.saved_tensors[1] is None
    assert own.linear(block(), weight.detach(), None).grad_fn.saved_tensors[0] is None


def test_derivatives_of_derivatives():
    x, (weight, bias) = block(), weights()

    def second(linear):
        (slope,) = torch.autograd.grad((linear(x, weight, bias) ** 2).sum(), x, create_graph=True)
        return torch.autograd.grad((slope**2).sum(), (x, weight, bias))

    for found, known in zip(second(own.linear), second(torch_linear), strict=True):
        torch.testing.assert_close(found, known)


def test_several_gradients_at_once():
    x, (weight, bias) = block(), weights()
    grads = torch.randn(2, T, B, OUTS)
    found, known = (
        torch.autograd.grad(linear(x, weight, bias), (x, weight, bias), grads, is_grads_batched=True)
        for linear in (own.linear, torch_linear)
    )
    for one, other in zip(found, known, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    "call",
    [
        lambda linear, x, weight: torch.func.vmap(lambda part: linear(part, weight, None))(x),
        lambda linear, x, weight: torch.func.grad(lambda part: linear(part, weight, None).sin().sum())(x),
        lambda linear, x, weight: torch.func.jvp(lambda part: linear(part, weight, None), (x,), (x,))[1],
        lambda linear, x, weight: checkpoint(linear, x, weight, None, use_reentrant=False),
        lambda linear, x, weight: linear(x.transpose(0, 1), weight, None),
        lambda linear, x, weight: linear(x[0, 0], weight, None),
        lambda linear, x, weight: linear(x[:0], weight, None),
        lambda linear, x, weight: linear(x.bfloat16(), weight.bfloat16(), None),
        lambda linear, x, weight: linear(x.to("meta"), weight.to("meta"), None).new_zeros((), device="cpu"),
    ],
    ids=["vmap", "grad", "jvp", "checkpoint", "transposed", "vector", "empty", "bfloat16", "meta"],
)
def test_other_ways_give_what_torch_gives(call):
    x, (weight, _) = block(), weights()
    found, known = call(own.linear, x, weight), call(torch_linear, x, weight)
    assert found.dtype == known.dtype
    torch.testing.assert_close(found, known)


def test_autocast_decides_as_it_does_for_torch(made):
    x, (weight, bias) = block(), weights()
    with torch.autocast("cpu", torch.bfloat16):
        assert own.linear(x, weight, bias).dtype == torch.bfloat16
    assert not made


def test_a_module_that_does_more_is_called():
    projection, x = nn.Linear(INPUTS, OUTS), block()
    assert is_plain(projection)
    assert torch.equal(project(projection, x), projection(x))
    handles = [
        projection.register_forward_hook(lambda module, given, outs: outs + 1),
        projection.register_forward_pre_hook(lambda module, given: (2 * given[0],)),
    ]
    assert not is_plain(projection)
    assert torch.equal(project(projection, x), projection(x))
    for handle in handles:
        handle.remove()
    assert is_plain(projection)
    handle = projection.register_full_backward_hook(lambda module, to, of: None)
    assert not is_plain(projection)
    handle.remove()
    projection.forward = lambda given: given
    assert not is_plain(projection)
    assert project(projection, x) is x
    assert not is_plain(nn.Bilinear(1, 1, 1))
    assert not is_plain(nn.utils.parametrizations.weight_norm(nn.Linear(2, 3)))


def test_a_hook_of_all_modules_sees_projections():
    projection, seen = nn.Linear(INPUTS, OUTS), []
    handle = nn.modules.module.register_module_forward_hook(lambda module, given, outs: seen.append(module))
    try:
        project(projection, block())
    finally:
        handle.remove()
    assert seen == [projection]


@pytest.mark.parametrize("unit", [mnn.RecurrenceLayer, mnn.SRU, mnn.QRNN, mnn.MinGRU, mnn.IndRNN, mnn.LRU, mnn.RGLRU])
def test_units_project_large_blocks_in_memory_of_ours(made, unit):
    torch.manual_seed(0)
    unit = unit(OUTS, OUTS)
    with torch.no_grad():
        unit(block(OUTS))
    assert made
