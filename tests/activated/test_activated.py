"""Recurrences with an activation inside are what stepping through them gives, gradients included."""

from itertools import product

import numpy as np
import pytest
import torch
from activated import stepped
from activated.cases import BACKENDS, LAYOUTS, compute, error, operands, step, with_gradients

from multirec._nonlinear import independent


def check(kind, activation, order, layout, reverse, backend):
    tensors = operands(kind, layout, order)
    truth = with_gradients(lambda own: step(kind, own, activation, layout, reverse), tensors)
    found = with_gradients(lambda own: compute(kind, own, activation, layout, backend, reverse=reverse), tensors)
    assert max(error(found, truth)) < 1e-14


COMPILED = {("independent", "BCT"), ("sru", "BTC"), ("envelope", "TBC")}
"""Which kernels are compiled in the quick run."""


def lying(kind, layout, backend):
    """A case, the long run's where it takes another kernel."""
    is_long = backend == "numba" and (kind, layout) not in COMPILED
    return pytest.param(kind, layout, layout != "BTC", backend, marks=[pytest.mark.long] * is_long)


@pytest.mark.parametrize(
    ("kind", "layout", "reverse", "backend"),
    [lying(*case) for case in product(stepped.CASES, LAYOUTS, BACKENDS)],
)
def test_values_and_gradients_are_those_of_stepping(kind, layout, reverse, backend):
    check(kind, *stepped.CASES[kind], layout, reverse, backend)


@pytest.mark.parametrize(("kind", "activation", "order"), stepped.OTHERS)
@pytest.mark.parametrize("backend", ["torch_loop", "reference", pytest.param("numba", marks=pytest.mark.long)])
def test_so_are_those_of_other_activations_and_orders(kind, activation, order, backend):
    check(kind, activation, order, "TBC", True, backend)


ACCURACY = [("independent", "relu", 3, "float32"), ("sru", "tanh", 1, "bfloat16")]

MORE = [
    ("sru", "tanh", 1, "float32"),
    ("envelope", "identity", 1, "float32"),
    ("independent", "tanh", 1, "float16"),
    ("envelope", "identity", 1, "bfloat16"),
]


@pytest.mark.parametrize(
    ("kind", "activation", "order", "dtype"),
    [*ACCURACY, *(pytest.param(*case, marks=pytest.mark.long) for case in MORE)],
)
def test_it_loses_no_more_than_three_times_what_stepping_does(kind, activation, order, dtype):
    dtype = getattr(torch, dtype)
    wide = torch.float32 if dtype.itemsize == 2 else dtype
    tensors = operands(kind, "TBC", order)
    count = 2 if kind == "sru" else 1
    tensors = [part.to(dtype if index < count else wide) for index, part in enumerate(tensors)]
    truth = with_gradients(lambda own: step(kind, [part.double() for part in own], activation, "TBC"), tensors)
    stepping = with_gradients(lambda own: step(kind, [part.to(wide) for part in own], activation, "TBC"), tensors)
    found = with_gradients(lambda own: compute(kind, own, activation, "TBC", "numba"), tensors)
    # y is rounded once to its type, and so are its gradient and those of signals
    unit = torch.finfo(dtype).eps
    for ours, theirs in zip(error(found, truth), error(stepping, truth), strict=True):
        assert ours <= 3 * theirs + unit


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_not_finite_is_as_torch_has_it_and_the_channel_s_own(backend):
    tensors = [part.float() for part in operands("independent", "TBC", 3)]
    tensors[0][30, 0, 5] = torch.nan
    truth = with_gradients(lambda own: step("independent", own, "relu", "TBC"), tensors)
    found = with_gradients(lambda own: compute("independent", own, "relu", "TBC", backend), tensors)
    for one, two in zip(found, truth, strict=True):
        assert torch.allclose(one, two, rtol=1e-4, atol=1e-4, equal_nan=True)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_gradient_of_relu_is_torch_s_where_it_has_a_corner_or_no_number(backend):
    values = torch.tensor([[[torch.nan, torch.inf, -torch.inf, 0.0, -0.0, 1.0, -1.0]]])
    truth = with_gradients(lambda own: [own[0].relu()], [values])
    # without feedback it is the activation alone
    tensors = [values, torch.zeros(7, 3), torch.zeros(3, 1, 7)]
    found = with_gradients(lambda own: compute("independent", own, "relu", "TBC", backend)[:1], tensors)
    for one, two in zip(found[:2], truth, strict=True):
        assert torch.equal(one.nan_to_num(7.0), two.nan_to_num(7.0))


@pytest.mark.parametrize(
    ("kind", "backend"),
    [
        ("envelope", "numba"),
        *(pytest.param(kind, "numba", marks=pytest.mark.long) for kind in ("independent", "sru")),
    ],
)
def test_its_derivatives_are_right_to_the_second(kind, backend):
    activation = stepped.CASES[kind][0]
    tensors = [part.requires_grad_() for part in operands(kind, "BTC", length=4)]
    narrow = [part[..., :2].detach().requires_grad_() for part in tensors]
    if kind == "sru":
        narrow[0] = tensors[0][..., :6].detach().requires_grad_()
    if kind == "independent":
        narrow[1:] = tensors[1][:2].detach().requires_grad_(), tensors[2][..., :2].detach().requires_grad_()

    def function(*own):
        return compute(kind, own, activation, "BTC", backend)

    assert torch.autograd.gradcheck(function, narrow, check_batched_grad=True, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, narrow)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("tanh", "float32"),
        ("sigmoid", "float32"),
        ("tanh", "float64"),
        pytest.param("sigmoid", "float64", marks=pytest.mark.long),
    ],
)
def test_activations_are_right_to_the_last_places(name, dtype):
    x = np.concatenate([np.linspace(-30, 30, 4001), np.geomspace(1e-30, 1, 500), [0.0, np.inf, -np.inf, np.nan]])
    x = x.astype(dtype)
    found, _ = independent(x[None], np.zeros((1, 1), dtype), activation=name, backend="numba")
    truth = getattr(torch, name)(torch.tensor(x).double()).numpy()
    assert np.isnan(found[0, -1])
    bound = 2.5 * np.spacing(np.abs(truth[:-1]).astype(dtype)).astype(float)
    assert (np.abs(found[0, :-1].astype(float) - truth[:-1]) <= np.maximum(bound, 2e-38)).all()
