"""`framed_recurrence`: what expanded coefficients give, by a kernel of frames and without one."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from frames.expansion import CASES, Case, arrays_of, expanded, in_layout

import multirec as mr
from multirec._core.validate import Choices
from multirec._frames.framing import Framing
from multirec._frames.launch import bound
from multirec.errors import ArgumentError, DtypeError, ShapeError

BACKENDS = ["numba", "torch_loop"]
CASE = CASES[0]


def truth(case: Case, interpolation: str, *, state: bool = True) -> tuple[Any, Any]:
    x, b, a, past = arrays_of(case)
    b, a = (expanded(part, case.length, case.hop, case.offset, interpolation) for part in (b, a))
    given = mr.State(None, past if state else None)
    return mr.recurrence(x, feedforward=b, feedback=a, state=given, backend="reference")


def test_the_ways_are_those_that_are_meant() -> None:
    x, b, a, past = arrays_of(CASE)
    for backend, in_kernel in (("numba", True), ("auto", True), ("torch_loop", False), ("reference", False)):
        arrays = x, b, a, None, past
        found = bound(arrays, Framing(CASE.hop, True, CASE.offset), Choices(backend=backend)).launcher
        assert (found is not None) is in_kernel


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("interpolation", ["linear", "hold"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_values_and_state(backend: str, interpolation: Any, case: Case) -> None:
    x, b, a, past = arrays_of(case)
    y, state = mr.framed_recurrence(
        x, feedforward=b, feedback=a, hop=case.hop, offset=case.offset, interpolation=interpolation,
        state=mr.State(None, past), backend=backend,
    )  # fmt: skip
    expected, after = truth(case, interpolation)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(state.outputs, after.outputs, rtol=1e-12, atol=1e-13)
    assert state.inputs.shape == after.inputs.shape


@pytest.mark.parametrize("layout", ["BTC", "TBC"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_layouts(backend: str, layout: Any) -> None:
    x, b, a, past = arrays_of(CASE)
    y, state = mr.framed_recurrence(
        in_layout(x, layout), feedforward=in_layout(b, layout, 1), feedback=in_layout(a, layout, 1), hop=CASE.hop,
        offset=CASE.offset, state=mr.State(None, in_layout(past, layout)), layout=layout, backend=backend,
    )  # fmt: skip
    expected, after = truth(CASE, "linear")
    assert y.flags.c_contiguous
    np.testing.assert_allclose(y, in_layout(expected, layout), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(state.outputs, in_layout(after.outputs, layout), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("interpolation", ["linear", "hold"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_blocks_equal_the_whole(backend: str, interpolation: Any) -> None:
    x, b, a, _ = arrays_of(CASE)
    whole, last = mr.framed_recurrence(
        x, feedforward=b, feedback=a, hop=CASE.hop, offset=CASE.offset, interpolation=interpolation, backend=backend
    )
    parts, state = [], None
    for start, stop in ((0, 1), (1, 40), (40, 40), (40, 43), (43, 46), (46, 100)):
        first, offset = divmod(start + CASE.offset, CASE.hop)
        frames = slice(first, max(-(-(stop + CASE.offset) // CASE.hop), first + 1) + 1)
        y, state = mr.framed_recurrence(
            x[..., start:stop], feedforward=b[..., frames, :], feedback=a[..., frames, :], hop=CASE.hop, offset=offset,
            interpolation=interpolation, state=state, backend=backend,
        )  # fmt: skip
        parts.append(y)
    np.testing.assert_allclose(np.concatenate(parts, -1), whole, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(state.outputs, last.outputs, rtol=1e-12, atol=1e-13)


def test_chunks_of_frames_equal_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multirec._frames.composed._MOST", 3 * CASE.hop * 6 * 5)
    x, b, a, past = arrays_of(CASE)
    for layout in ("BCT", "BTC", "TBC"):
        y, _ = mr.framed_recurrence(
            in_layout(x, layout), feedforward=in_layout(b, layout, 1), feedback=in_layout(a, layout, 1), hop=CASE.hop,
            offset=CASE.offset, state=mr.State(None, in_layout(past, layout)), layout=layout, backend="reference",
        )  # fmt: skip
        np.testing.assert_allclose(y, in_layout(truth(CASE, "linear")[0], layout), rtol=1e-12)


@pytest.mark.long
def test_several_feedforward_taps_and_none_at_all() -> None:
    x, b, a, past = arrays_of(CASE)
    b = np.concatenate([b, -b, 0.5 * b], -1)
    long_b, long_a = (expanded(part, CASE.length, CASE.hop, CASE.offset, "linear") for part in (b, a))
    inputs = np.ones((2, 3, 2))
    kwargs: Any = {"state": mr.State(inputs, past)}
    y, state = mr.framed_recurrence(x, feedforward=b, feedback=a, hop=CASE.hop, offset=CASE.offset, **kwargs)
    expected, after = mr.recurrence(x, feedforward=long_b, feedback=long_a, **kwargs)
    np.testing.assert_allclose(y, expected, rtol=1e-12)
    np.testing.assert_array_equal(state.inputs, after.inputs)
    y, _ = mr.framed_recurrence(x, feedforward=b, hop=CASE.hop, offset=CASE.offset)
    np.testing.assert_allclose(y, mr.recurrence(x, feedforward=long_b)[0], rtol=1e-12)
    y, _ = mr.framed_recurrence(x, feedback=a, hop=CASE.hop, offset=CASE.offset)
    np.testing.assert_allclose(y, mr.recurrence(x, feedback=long_a)[0], rtol=1e-12)


def test_other_libraries_and_precisions() -> None:
    x, b, a, _ = arrays_of(CASE)
    expected, _ = truth(CASE, "linear", state=False)
    kwargs: Any = {"hop": CASE.hop, "offset": CASE.offset}
    own = [jnp.asarray(part, "float32") for part in (x, b, a)]
    y, _ = mr.framed_recurrence(own[0], feedforward=own[1], feedback=own[2], **kwargs)
    assert isinstance(y, jnp.ndarray)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    narrow, _ = mr.framed_recurrence(x.astype("float32"), feedforward=b, feedback=a, **kwargs)
    assert narrow.dtype == np.float32
    np.testing.assert_allclose(narrow, expected, rtol=1e-4, atol=1e-5)
    wide, state = mr.framed_recurrence(
        x.astype("float32"), feedforward=b, feedback=a, compute_dtype="float64", **kwargs
    )
    assert (wide.dtype, state.outputs.dtype) == (np.float32, np.float64)
    x32 = x.astype("float32").astype("float64")
    exact, _ = mr.framed_recurrence(x32, feedforward=b, feedback=a, backend="torch_loop", **kwargs)
    np.testing.assert_array_equal(wide, exact.astype("float32"))
    half, state = mr.framed_recurrence(torch.tensor(x).bfloat16(), feedforward=b, feedback=a, **kwargs)
    assert (half.dtype, state.outputs.dtype) == (torch.bfloat16, torch.float32)
    np.testing.assert_allclose(half.float(), expected, rtol=0.02, atol=0.05)


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_to_do(backend: str) -> None:
    a, past = np.full((1, 1, 1, 2), 0.5), np.ones((1, 1, 2))
    y, state = mr.framed_recurrence(np.empty((1, 1, 0)), feedback=a, hop=8, state=mr.State(None, past), backend=backend)
    assert y.shape == (1, 1, 0)
    np.testing.assert_array_equal(state.outputs, past)
    y, state = mr.framed_recurrence(np.empty((0, 1, 8)), feedback=a, hop=8, backend=backend)
    assert (y.shape, state.outputs.shape) == ((0, 1, 8), (0, 1, 2))


X, A = np.ones((2, 3, 100)), np.full((2, 3, 10, 2), 0.1)


@pytest.mark.parametrize(
    ("kwargs", "error", "words"),
    [
        ({"feedback": A[:, :, :9]}, ShapeError, r"9 frames: 100 samples with a hop of 10 take 10, or 11.*Repeat"),
        ({"feedback": A.repeat(2, 2)}, ShapeError, r"20 frames.*Leave out"),
        ({"feedback": A, "offset": 1}, ShapeError, r"the first of them 1 after a frame.*take 11"),
        ({"feedback": A, "feedforward": A[:, :, :5]}, ShapeError, "feedforward has shape .* 5 frames"),
        ({"feedback": A[0, :, 0]}, ShapeError, r"rank 2; .*frames, taps\), rank 4.*multirec.recurrence"),
        ({"feedback": A[:, :2]}, ShapeError, "channels do not match.*feedback has 2"),
        ({"feedback": A.repeat(2, 0)}, ShapeError, r"batch axes those of x, \(2,\), or 1"),
        ({"feedback": A.astype(int)}, DtypeError, "feedback has dtype int"),
        ({}, ArgumentError, "both None"),
        ({"feedback": A, "hop": 0}, ArgumentError, "hop is a whole number of at least 1"),
        ({"feedback": A, "offset": 10}, ArgumentError, "first 1 frames and pass offset=0"),
        ({"feedback": A, "offset": -1}, ArgumentError, "offset is a whole number"),
        ({"feedback": A, "interpolation": "cubic"}, ArgumentError, "'linear' or 'hold', got 'cubic'"),
        ({"feedback": A, "state": mr.State(None, X)}, ShapeError, "state.outputs has shape"),
        ({"feedback": A, "backend": "nubma"}, ValueError, "Did you mean 'numba'"),
    ],
)
def test_bad_input(kwargs: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=f"(?s){words}"):
        mr.framed_recurrence(X, **({"hop": 10} | kwargs))


def test_x_without_channels() -> None:
    with pytest.raises(ShapeError, match=r"x\[None\]"):
        mr.framed_recurrence(X[0, 0], feedback=A, hop=10)
