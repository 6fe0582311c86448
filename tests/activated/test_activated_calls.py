"""Recurrences with an activation inside take arrays of any kind and shape, and say what does not fit."""

import numpy as np
import pytest
import torch
from activated import stepped
from activated.cases import BATCH, CHANNELS, LENGTH, compute, operands, with_gradients

import multirec as mr
from multirec._nonlinear import independent, sru
from multirec.errors import ArgumentError, DeviceError, DtypeError, FamilyError, ShapeError, UnsupportedError


@pytest.mark.parametrize("kind", stepped.CASES)
def test_any_strides_and_many_batch_axes(kind):
    activation, order = stepped.CASES[kind]
    tensors = operands(kind, "BCT", order)
    expected = compute(kind, tensors, activation)
    strided = [torch.stack([part, part], -1)[..., 0] for part in tensors]
    for one, two in zip(compute(kind, strided, activation), expected, strict=True):
        assert torch.equal(one, two)
    shaped = [part[None] if part.ndim == 3 else part for part in tensors]
    shaped[-1] = tensors[-1][None]
    for one, two in zip(compute(kind, shaped, activation), expected, strict=True):
        assert torch.equal(one[0], two)


@pytest.mark.parametrize("kind", stepped.CASES)
def test_numpy_arrays_give_what_tensors_do(kind):
    activation, order = stepped.CASES[kind]
    tensors = operands(kind, "BTC", order)
    for one, two in zip(
        compute(kind, [part.numpy() for part in tensors], activation, "BTC"),
        compute(kind, tensors, activation, "BTC"),
        strict=True,
    ):
        assert isinstance(one, np.ndarray)
        assert np.array_equal(one, two.numpy())


def test_no_samples_and_no_examples():
    for batch, length in ((2, 0), (0, 5)):
        tensors = operands("independent", "TBC", 2, states=batch, batch=batch, length=length)
        found = with_gradients(lambda own: compute("independent", own, "tanh", "TBC"), tensors)
        assert found[0].shape == (length, batch, CHANNELS)
        assert torch.equal(found[1], tensors[2])


@pytest.mark.long
def test_compiled_it_is_the_same():
    tensors = operands("sru", "TBC")
    resets = torch.arange(LENGTH)[:, None].expand(-1, BATCH) % 9 == 0

    def function(*own):
        return compute("sru", own, "tanh", "TBC", resets=resets)

    compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
    expected = with_gradients(lambda own: function(*own), tensors)
    for one, two in zip(with_gradients(lambda own: compiled(*own), tensors), expected, strict=True):
        assert torch.equal(one, two)


def test_vmap_maps_it():
    x, feedback, _ = operands("independent", "BCT")
    found, _ = torch.vmap(lambda row: independent(row, feedback, activation="tanh"))(x)
    assert torch.allclose(found, independent(x, feedback, activation="tanh")[0])


def test_an_order_that_one_kernel_has_not_is_anothers():
    x, feedback = np.ones((1, 2, 50)), np.full((2, 40), 0.01)
    with pytest.raises(UnsupportedError, match=r"order 40 .*1\.\.32.*reference, torch_loop"):
        independent(x, feedback, backend="numba")
    assert np.allclose(independent(x, feedback)[0], independent(x, feedback, backend="reference")[0])
    with pytest.raises(UnsupportedError, match=r"unfold_scan.*independent"):
        independent(x, feedback, backend="unfold_scan")


X, FEEDBACK = np.ones((2, 3, 5)), np.ones((3, 1))

MISTAKES = {
    "activation": (ArgumentError, "'gelu'.*identity.*relu", lambda: independent(X, FEEDBACK, activation="gelu")),
    "layout": (ArgumentError, "layout 'CBT'", lambda: independent(X, FEEDBACK, layout="CBT")),
    "channels": (ShapeError, r"feedback has shape \(4, 1\)", lambda: independent(X, np.ones((4, 1)))),
    "order": (ShapeError, r"\(3, 0\)", lambda: independent(X, np.ones((3, 0)))),
    "state": (ShapeError, r"state has shape \(2, 3, 2\), expected \(2, 3, 1\)",
              lambda: independent(X, FEEDBACK, np.ones((2, 3, 2)))),
    "complex": (DtypeError, "x has dtype complex128", lambda: independent(X * 1j, FEEDBACK)),
    "integers": (DtypeError, "x has dtype int64", lambda: independent(X.astype(int), FEEDBACK)),
    "rank": (ShapeError, r"x has shape \(3,\)", lambda: independent(X[0, :, 0], FEEDBACK)),
    "family": (FamilyError, "state is a torch array", lambda: independent(X, FEEDBACK, torch.ones(2, 3, 1))),
    "device": (DeviceError, "state is on meta",
               lambda: independent(torch.ones(2, 3, 5), torch.ones(3, 1), torch.ones(2, 3, 1, device="meta"))),
    "blocks": (ShapeError, "u has 5 channels and weight 3",
               lambda: sru(np.ones((2, 5, 4)), np.ones((2, 3)), np.ones((2, 3)))),
    "two highways": (ShapeError, "with a highway of its own",
                     lambda: sru(np.ones((2, 12, 4)), np.ones((2, 3)), np.ones((2, 3)), highway=np.ones((2, 3, 4)))),
    "bias": (ShapeError, r"bias has shape \(2, 2\)", lambda: sru(np.ones((2, 9, 4)), np.ones((2, 3)), np.ones((2, 2)))),
    "highway": (ShapeError, r"expected \(2, 3, 4\)",
                lambda: sru(np.ones((2, 9, 4)), np.ones((2, 3)), np.ones((2, 3)), highway=np.ones((2, 3, 5)))),
    "attack": (ShapeError, r"attack has shape \(4,\)", lambda: mr.envelope(X, np.ones(4), 0.1)),
    "resets": (DtypeError, "resets has dtype float64", lambda: mr.envelope(X, 0.1, 0.1, resets=np.ones((2, 5)))),
    "lengths": (ArgumentError, "lengths has the value 6", lambda: mr.envelope(X, 0.1, 0.1, lengths=[6, 1])),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named(mistake):
    kind, message, call = MISTAKES[mistake]
    with pytest.raises(kind, match=message):
        call()
