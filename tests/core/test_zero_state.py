"""`zero_state` gives what `recurrence` returns, but for the numbers."""

from __future__ import annotations

import numpy as np
import pytest

import multirec as mr
from multirec._core.arrays import name_of
from multirec.errors import ArgumentError, DtypeError, FamilyError, ShapeError

SPOILED = np.poly(np.full(4, 0.9999))[None]


def as_numpy(array):
    return array


def as_torch(array):
    torch = pytest.importorskip("torch")
    return torch.from_numpy(array)


def kinds(state):
    return [(type(part), tuple(part.shape), name_of(part.dtype), str(getattr(part, "device", ""))) for part in state]


def assert_same_kind(x, **arguments):
    zeros = mr.zero_state(x, **arguments)
    y, state = mr.recurrence(x, **arguments)
    assert kinds(zeros) == kinds(state)
    assert not any(bool((part != 0).any()) for part in zeros)
    again, after = mr.recurrence(x, state=zeros, **arguments)
    np.testing.assert_array_equal(np.asarray(again), np.asarray(y))
    assert kinds(after) == kinds(state)


@pytest.mark.parametrize("library", [as_numpy, as_torch])
@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "complex64", pytest.param("complex128", marks=pytest.mark.long), "float16"]
)
@pytest.mark.parametrize("layout", ["BCT", "BTC", "TBC"])
def test_kinds_are_those_of_a_call(library, dtype, layout):
    shape = {"BCT": (2, 3, 1, 5), "BTC": (2, 3, 5, 1), "TBC": (5, 2, 3, 1)}[layout]
    x, b, a = library(np.ones(shape, dtype)), np.ones((4, 3), "float32"), np.full((4, 2), 0.1, "float32")
    assert_same_kind(x, feedforward=library(b), feedback=library(a), layout=layout)
    assert_same_kind(x, feedback=a, layout=layout, reverse=True)
    assert_same_kind(x, feedforward=b, layout=layout)
    if dtype != "float16":
        assert_same_kind(x, feedforward=b + 1j, feedback=a, layout=layout)


@pytest.mark.parametrize("library", [as_numpy, as_torch])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_past_outputs_are_in_the_precision_that_is_computed_in(library, dtype):
    x, a = library(np.ones((2, 1, 5), dtype)), np.full((3, 1), 0.5, "float32")
    assert_same_kind(x, feedback=a, compute_dtype="float64")
    assert name_of(mr.zero_state(x, feedback=a, compute_dtype="float64").outputs.dtype) == "float64"
    # which the values of a design may decide
    assert_same_kind(x, feedback=-SPOILED[:, 1:])
    assert name_of(mr.zero_state(x, feedback=-SPOILED[:, 1:]).outputs.dtype) == "float64"


def test_coefficients_of_each_example_and_each_sample():
    x = np.ones((2, 1, 5))
    assert_same_kind(x, feedback=np.full((2, 3, 2), 0.1))
    assert_same_kind(x, feedforward=np.ones((2, 3, 5, 2)), feedback=np.full((1, 3, 1, 2), 0.1))


@pytest.mark.parametrize("shape", [(0, 1, 5), (2, 1, 0), (3, 5)])
def test_shapes_at_the_edge(shape):
    assert_same_kind(np.ones(shape), feedforward=np.ones((1, 4)), feedback=np.full((1, 2), 0.1))


def test_bytes_in_another_order():
    assert_same_kind(np.ones((1, 1, 4), ">f4"), feedforward=np.ones((2, 3), "f4"))


def test_bfloat16_of_numpy():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    assert_same_kind(np.ones((1, 1, 4), ml_dtypes.bfloat16), feedforward=np.ones((2, 3)), feedback=np.ones((2, 1)))


def test_a_tensor_that_is_learned():
    torch = pytest.importorskip("torch")
    x = torch.ones(2, 1, 4, requires_grad=True)
    a = torch.nn.Parameter(torch.full((3, 2), 0.1))
    state = mr.zero_state(x, feedback=a)
    assert not any(part.requires_grad for part in state)
    mr.recurrence(x, feedback=a, state=state)[0].sum().backward()
    assert a.grad is not None


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({}, ArgumentError, "both None"),
        ({"feedback": np.ones((2, 1, 1, 1, 1))}, ShapeError, "rank 5"),
        ({"feedback": np.ones((2, 1), int)}, DtypeError, "feedback has dtype int64"),
        ({"feedback": np.ones((2, 1)), "layout": "CBT"}, ArgumentError, "unknown layout"),
        ({"feedback": [[1.0]]}, FamilyError, "feedback is a builtins.list"),
    ],
)
def test_errors_are_those_of_a_call(arguments, error, said):
    for function in (mr.zero_state, mr.recurrence):
        with pytest.raises(error, match=said):
            function(np.ones((1, 1, 8)), **arguments)
