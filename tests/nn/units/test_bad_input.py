"""What does not fit is said with what was given and what is wanted."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import multirec as mr
from multirec import nn as mnn
from multirec.errors import (
    ArgumentError,
    DtypeError,
    FamilyError,
    MultirecError,
    ShapeError,
    UnknownBackendError,
    UnsupportedError,
)

UNITS = [mnn.RNN, mnn.MinGRU, mnn.MinLSTM, mnn.QRNN, mnn.SRU, mnn.IndRNN, mnn.LRU, mnn.RGLRU, mnn.RGLRUBlock]


@pytest.mark.parametrize("kind", UNITS)
def test_sizes_and_options(kind: Any) -> None:
    for sizes, says in (((0, 4), "inputs_dim"), ((3, -1), "hidden_dim"), ((3, 2.5), "hidden_dim")):
        with pytest.raises(ArgumentError, match=f"{says} is a whole number of at least 1"):
            kind(*sizes)
    with pytest.raises(ArgumentError, match=f"{kind.__name__} takes layout 'TBC' or 'BTC', got 'BCT'"):
        kind(3, 4, layout="BCT")
    with pytest.raises(UnknownBackendError, match="nubma"):
        kind(3, 4, backend="nubma")
    with pytest.raises(DtypeError, match=f"weights of a {kind.__name__}"):
        kind(3, 4, dtype=torch.complex64)


@pytest.mark.parametrize("kind", UNITS)
def test_blocks_and_states(kind: Any) -> None:
    # what compiles nothing
    options = {} if kind is mnn.RNN else {"backend": "torch_loop"}
    unit, x = kind(3, 4, **options), torch.randn(5, 2, 3)
    with pytest.raises(ShapeError, match=r"3 features on the last axis, got shape \(5, 2, 4\)"):
        unit(torch.randn(5, 2, 4))
    with pytest.raises(ShapeError, match=r"a sample \(batch…, features\) with 3 features .* \(2, 4\)"):
        unit.step(torch.randn(2, 4))
    with pytest.raises(FamilyError, match="takes a torch tensor"):
        unit([1.0])
    with pytest.raises(DtypeError, match=r"x is torch\.float64 and the weights"):
        unit(x.double())
    _, state = unit(x)
    for call in (lambda: unit(torch.randn(5, 3, 3), state), lambda: unit.step(torch.randn(3, 3), state)):
        with pytest.raises(ShapeError, match=r"shape \(\d, 3, \d\) here, got \(\d, 2, \d\): .* of another batch"):
            call()
    _, other = kind(3, 6, **options)(x)
    with pytest.raises(ShapeError, match=r"\(1, 2, 4\) here, got \(1, 2, 6\)|\(3, 2, 4\) here, got \(3, 2, 6\)"):
        unit(x, other)
    with pytest.raises(ArgumentError, match=r"is a multirec\.State, got Tensor"):
        unit(x, state.outputs)
    outputs = state.outputs.real if state.outputs.is_complex() else state.outputs.to(torch.complex64)
    for foreign, error, says in (
        ((None, outputs), DtypeError, "the state is of another unit"),
        ((None, state.outputs.tolist()), ArgumentError, "a torch tensor or None, got list"),
    ):
        for call in (lambda: unit(x, foreign), lambda: unit.step(x[0], foreign)):  # noqa: B023
            with pytest.raises(error, match=says):
                call()
    with pytest.raises(RuntimeError, match="size mismatch"):
        unit.load_state_dict(kind(3, 6).state_dict())


@pytest.mark.parametrize("kind", [*UNITS, mnn.RecurrenceLayer])
def test_what_marks_sequences_off(kind: Any) -> None:
    unit, x = kind(3, 4), torch.randn(5, 2, 3)
    for cuts, says in (
        ({"lengths": [6, 1]}, "value 6"),
        ({"lengths": [-1, 1]}, "value -1"),
        ({"lengths": [1, 1, 1]}, r"shape \(3,\), expected \(2,\): x of shape \(5, 2, 3\)"),
        ({"lengths": 3}, r"lengths is a builtins\.int"),
        (
            {"resets": torch.zeros(2, 5, dtype=torch.bool)},
            r"shape \(2, 5\), expected \(5, 2\): .* x of shape \(5, 2, 3\)",
        ),
        ({"resets": torch.zeros(5, 2)}, "expected bool"),
        ({"cu_seqlens": [0, 5]}, r"x of shape \(5, 2, 3\) .* batch"),
        ({"cu_seqlens": 5}, r"cu_seqlens is a builtins\.int"),
    ):
        with pytest.raises(MultirecError, match=says):
            unit(x, **cuts)
    with pytest.raises(ArgumentError, match="not ascending"):
        unit(x[:, :1], cu_seqlens=[0, 3, 2, 5])


def test_what_torch_runs_packed_is_not_transformed() -> None:
    unit, x = mnn.RNN(3, 4), torch.randn(5, 2, 3)
    with pytest.raises(UnsupportedError, match=r"RNN is given lengths inside of torch\.compile"):
        torch.func.grad(lambda x: unit(x, lengths=[5, 2])[0].sum())(x)


def test_options_of_single_units() -> None:
    with pytest.raises(ArgumentError, match=r"unknown activation 'gelu' of an IndRNN\. There are relu, tanh"):
        mnn.IndRNN(3, 4, activation="gelu")
    with pytest.raises(ArgumentError, match="unknown activation 'relu' of an SRU"):
        mnn.SRU(3, 4, activation="relu")
    with pytest.raises(ArgumentError, match="window is a whole number"):
        mnn.QRNN(3, 4, window=0)
    with pytest.raises(ArgumentError, match="heads=3 and hidden_dim=4"):
        mnn.RGLRU(3, 4, heads=3)
    with pytest.raises(ArgumentError, match=r"min_radius=0\.9 and max_radius=0\.5"):
        mnn.LRU(3, 4, min_radius=0.9, max_radius=0.5)
    with pytest.raises(ArgumentError, match="max_phase is above 0"):
        mnn.LRU(3, 4, max_phase=0.0)
    for kind in (mnn.SRU, mnn.IndRNN):
        with pytest.raises(ArgumentError, match="linear recurrences"):
            kind(3, 4, compute_dtype="float64")
    with pytest.raises(ArgumentError, match="dense recurrence"):
        mnn.RNN(3, 4, backend="numba")
    assert mnn.SRU(3, 4, v1=True, compute_dtype="float64").compute_dtype == "float64"


@pytest.mark.parametrize("kind", [mnn.SRU, mnn.IndRNN])
def test_a_backend_that_has_no_activations_says_which_have(kind: Any) -> None:
    with pytest.raises(MultirecError, match=r"unfold_scan.*numba"):
        kind(4, 4, backend="unfold_scan")(torch.randn(5, 2, 4))
    outs, _ = kind(4, 4)(torch.randn(5, 2, 4), mr.State())
    assert outs.shape == (5, 2, 4)
