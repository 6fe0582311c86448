"""Pieces that do not fit together, in the words of who put them together."""

import numpy as np
import pytest

import multirec as mr
from multirec.distributed import compose, replay, summarize
from multirec.errors import ArgumentError, DtypeError, FamilyError, ShapeError

X, A = np.ones((2, 3, 8)), np.full((3, 2), 0.2)
BLOCK = summarize(X, feedback=A)


@pytest.mark.parametrize(
    ("other", "kind", "words"),
    [
        (lambda: summarize(X, feedback=A[:, :1]), ShapeError, r"second\.end\.outputs of shape \(2, 3, 1\).*taps"),
        (lambda: summarize(X[:1], feedback=A), ShapeError, r"shape \(1, 3, 2\)"),
        (lambda: summarize(X[:, :1], feedback=A[:1]), ShapeError, r"shape \(2, 1, 2\)"),
        (lambda: summarize(X.astype("f"), feedback=A.astype("f")), DtypeError, "float32.*compute_dtype"),
        (lambda: summarize(X, feedback=A, reverse=True), ArgumentError, "reverse=False and second .* reverse=True"),
        (lambda: summarize(X, feedback=np.full((8, 2), 0.2), layout="BTC"), ArgumentError, "layout='BCT'"),
        (lambda: BLOCK.end, ArgumentError, "second is a State, expected a multirec.distributed.Summary"),
    ],
)
def test_summaries_that_do_not_fit(other, kind, words):
    with pytest.raises(kind, match=words):
        compose(BLOCK, other())


def test_summaries_of_two_libraries():
    torch = pytest.importorskip("torch")
    with pytest.raises(FamilyError, match=r"first\.end\.outputs is of numpy and second\.end\.outputs of torch"):
        compose(BLOCK, summarize(torch.ones(2, 3, 8), feedback=A))
    with pytest.raises(FamilyError, match=r"state\.outputs is a torch array, and the block was one of numpy"):
        BLOCK.after((None, torch.ones(2, 3, 2)))


@pytest.mark.parametrize(
    ("state", "kind", "words"),
    [
        (mr.State(None, np.ones((2, 3, 3))), ShapeError, r"state.outputs has shape \(2, 3, 3\), expected \(2, 3, 2\)"),
        (mr.State(None, np.ones((2, 3, 2), "float32")), DtypeError, "state.outputs has dtype float32"),
        (np.ones((2, 3, 2)), ArgumentError, "state is a multirec.State"),
        ((None, [[1.0]]), FamilyError, "state.outputs is a builtins.list"),
    ],
)
def test_a_state_that_does_not_fit_the_block(state, kind, words):
    with pytest.raises(kind, match=words):
        BLOCK.after(state)


def test_replay_needs_a_state():
    with pytest.raises(ArgumentError, match=r"state is None.*State\(None, None\)"):
        replay(X, None, feedback=A)


def test_a_block_that_is_no_block():
    with pytest.raises(FamilyError, match=r"x is a builtins\.list"):
        summarize([[1.0, 2.0]], feedback=A)
    with pytest.raises(ShapeError, match="channels do not match"):
        summarize(X, feedback=np.ones((4, 1)))
    with pytest.raises(ShapeError, match="resets has shape"):
        summarize(X, feedback=A, resets=np.ones((2, 7), bool))
