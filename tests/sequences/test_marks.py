"""What marks sequences off: errors, and values on a device that are not looked at."""

from dataclasses import replace

import numpy as np
import pytest
import separate
import torch

import multirec as mr
from multirec._core.validate import Choices
from multirec._sequences import numbers, tail
from multirec._sequences.bind import calls_of
from multirec._sequences.marks import Marks
from multirec.errors import ArgumentError, DeviceError, DtypeError, FamilyError, ShapeError, UnsupportedError

X, A = np.zeros((3, 2, 5)), np.full((1, 2), 0.5)
ROW = X[:1]


@pytest.mark.parametrize(
    ("x", "given", "error", "words"),
    [
        (X, {"resets": np.zeros((3, 5))}, DtypeError, "resets has dtype float64, expected bool.*resets != 0"),
        (X, {"resets": np.zeros((3, 2, 5), bool)}, ShapeError, r"\(3, 2, 5\), expected \(3, 5\): \(batch…, time\)"),
        (X, {"resets": np.zeros((5, 3), bool), "layout": "BTC"}, ShapeError, r"expected \(3, 2\)"),
        (X, {"resets": [[True]]}, FamilyError, "resets is a builtins.list.*dtype='bool'"),
        (X, {"lengths": 5}, FamilyError, "lengths is a builtins.int.*dtype='int64'"),
        (X, {"lengths": [[3], [4, 5]]}, ShapeError, r"lengths is a list .* differ in shape: \[\[3\], \[4, 5\]\]"),
        (X, {"lengths": [1, 2, 6]}, ArgumentError, "the value 6, and x 5 samples"),
        (X, {"lengths": [1, -2, 5]}, ArgumentError, "the value -2"),
        (X, {"lengths": [1.0, 2.0, 3.0]}, DtypeError, "lengths has dtype float64, expected integers"),
        (X, {"lengths": np.array([True] * 3)}, DtypeError, "dtype bool"),
        (X, {"lengths": [1, 2]}, ShapeError, r"lengths has shape \(2,\), expected \(3,\)"),
        (ROW, {"cu_seqlens": [0, 4, 3, 5]}, ArgumentError, "4 at 1 is followed by 3"),
        (ROW, {"cu_seqlens": [1, 5]}, ArgumentError, "goes from 1 to 5, and x has 5 samples"),
        (ROW, {"cu_seqlens": [0, 6]}, ArgumentError, "goes from 0 to 6"),
        (ROW, {"cu_seqlens": [[0, 5]]}, ShapeError, r"\(1, 2\), expected \(sequences \+ 1,\)"),
        (ROW, {"cu_seqlens": []}, ShapeError, r"cu_seqlens has shape \(0,\)"),
        (ROW, {"cu_seqlens": [0.0, 5.0]}, DtypeError, "expected integers"),
        (X, {"cu_seqlens": [0, 5]}, ShapeError, r"has batch axes \(3,\)"),
        (ROW[0], {"cu_seqlens": [0, 5]}, ShapeError, r"has batch axes \(\)"),
        (ROW, {"cu_seqlens": [0, 5], "lengths": [5]}, ArgumentError, "both given"),
        (
            ROW,
            {"cu_seqlens": [0, 2, 5], "state": mr.State(None, np.zeros((1, 2, 1)))},
            ShapeError,
            r"expected \(2, 2, 2",
        ),
        (ROW, {"cu_seqlens": [0, 2, 5], "state": mr.State(None, np.zeros((3, 2, 2)))}, ShapeError, "has 2 entries"),
        (X, {"lengths": [1, 2, 3], "state": mr.State(None, np.zeros((4, 2, 2)))}, ShapeError, r"expected \(3, 2, 2\)"),
        (X, {"lengths": torch.tensor([1, 2, 3])}, FamilyError, "x is a numpy array and lengths is a torch array"),
        (X, {"lengths": [1, 2, 3], "out": np.zeros((3, 2, 4))}, ShapeError, "out has shape"),
        (torch.zeros(3, 2, 5), {"lengths": torch.zeros(3, dtype=torch.int64, device="meta")}, DeviceError, "on meta"),
    ],
)
def test_errors_in_the_callers_shapes(x, given, error, words):
    a = torch.from_numpy(A) if isinstance(x, torch.Tensor) else A
    for backend in ("reference", "separate"):
        with pytest.raises(error, match=words):
            mr.recurrence(x, feedback=a, backend=backend, **given)
        if "out" not in given:
            with pytest.raises(error, match=words):
                mr.explain(x, feedback=a, backend=backend, **given)


def test_a_scan_of_boundaries_that_are_none():
    with pytest.raises(FamilyError, match=r"cu_seqlens is a builtins\.int"):
        mr.scan(ROW, ROW, cu_seqlens=5)


def test_out_and_a_gradient():
    x = torch.zeros(1, 1, 4, requires_grad=True)
    with pytest.raises(ArgumentError, match="out is given"):
        mr.recurrence(x, feedback=torch.ones(1, 1), lengths=[2], out=torch.zeros(1, 1, 4))


def test_a_backend_that_declines_is_named_in_the_callers_shapes():
    mr.register_backend(replace(separate.info, name="low", max_order=1))
    with pytest.raises(UnsupportedError, match=r"'low' does not support order 2 .*\(3, 2, 5\)"):
        mr.recurrence(X, feedback=A, lengths=[1, 2, 3], backend="low")
    mr.unregister_backend("low")


MARKS = (
    Marks(resets=np.random.default_rng(0).random((3, 7)) < 0.4),
    Marks(lengths=np.array([0, 7, 3])),
    Marks(np.random.default_rng(1).random((3, 7)) < 0.4, np.array([2, 0, 7])),
    Marks(cu_seqlens=np.array([0, 2, 2, 7])),
    Marks(np.random.default_rng(2).random((1, 7)) < 0.4, None, np.array([0, 2, 2, 7])),
)


@pytest.mark.parametrize("marks", MARKS)
def test_numbers_are_the_same_in_every_library(marks):
    batch = 1 if marks.cu_seqlens is not None else 3
    call, _ = calls_of((np.zeros((batch, 1, 7)), None, A, None, None), marks, Choices())
    own = numbers.read_on_host(marks, call)
    given = Marks(
        *(
            None if part is None else torch.from_numpy(part.astype(kind))
            for part, kind in zip(marks, "?ii", strict=True)
        )
    )
    # what would be on a device is not looked at
    tensors = numbers.read(given, call._replace(problem=replace(call.problem, family="torch", device="cuda")))
    found = numbers.numbers_of(tensors, call.problem)
    assert found.dtype is torch.int32
    assert np.array_equal(found.numpy(), numbers.numbers_of(own, call.problem))
    assert all(map(np.array_equal, numbers.edges(tensors, call.problem), numbers.edges(own, call.problem)))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("marks", MARKS[:4])
def test_kept_inputs_and_their_gradient_are_the_same_in_every_library(marks, reverse):
    batch = 1 if marks.cu_seqlens is not None else 3
    x, b = np.random.default_rng(0).standard_normal((batch, 2, 7)), np.ones((1, 4))
    call, states = calls_of((x, b, None, None, None), marks, Choices(reverse=reverse))
    count, own = states.problem.batch, numbers.read_on_host(marks, call)
    past, grad = np.random.default_rng(1).standard_normal((2, count, 2, 3))
    results = []
    for put in (np.array, torch.tensor):
        sequences = numbers.Sequences(*(None if part is None else put(part) for part in own))
        places = tail.places_of(sequences, numbers.numbers_of(sequences, call.problem), call.problem)
        kept = tail.kept_inputs(put(x), put(past), places, call.problem, count)
        grads = put(x * 0), put(past * 0)
        tail.add_gradient(*grads, put(grad), places)
        results.append((kept, *grads))
    assert all(map(np.array_equal, *results))


@pytest.mark.parametrize("values", [[3, 9, -4, 5], [0, 5, 2, 7], [7, 7, 7, 7]])
def test_boundaries_that_nobody_looks_at_stay_in_range_and_in_order(values):
    found = numbers._in_order(torch.tensor(values), 7)
    assert found[0] == 0
    assert found[-1] == 7
    assert (found.diff() >= 0).all()
