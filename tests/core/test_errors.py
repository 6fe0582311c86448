"""Every bad input is refused with what was asked, what was got and what to do; nothing is computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import multirec as mr
from multirec import errors
from multirec._core.problem import Spec, canonical_problem
from multirec._engine.plan import plan_for
from multirec.adjoint import vjp

X = np.zeros((4, 3, 20), np.float32)
B = A = np.zeros((3, 2))


def tensor(*shape: int, **options: Any) -> torch.Tensor:
    return torch.zeros(shape, **options)


def plan_elsewhere(backend: str) -> object:
    """Plan for a device that no backend knows."""
    signal, taps = Spec((1, 1, 4), "float32", "torch", "hpu:0"), Spec((1, 1, 1, 1), "float32", "torch", "hpu:0")
    return plan_for(canonical_problem(signal, None, taps, "BCT", False), backend)


BUILTINS = {
    errors.ArgumentError: ValueError,
    errors.DeviceError: ValueError,
    errors.DtypeError: TypeError,
    errors.FamilyError: TypeError,
    errors.ShapeError: ValueError,
    errors.UnknownBackendError: ValueError,
    errors.UnsupportedError: NotImplementedError,
}
"""What a caller who does not know multirec's errors would catch."""

CASES: dict[str, tuple[Callable[[], object], type[errors.MultirecError], str]] = {
    "unknown backend": (
        lambda: mr.recurrence(X, feedback=A, backend="nubma"),
        errors.UnknownBackendError,
        r"no backend named 'nubma'\. Did you mean 'numba'\? Registered: .*numba",
    ),
    "unknown backend of a bank": (
        lambda: mr.RecurrenceBank(feedback=A, backend="nubma"),
        errors.UnknownBackendError,
        r"Did you mean 'numba'\?",
    ),
    "backend that is no name": (
        lambda: mr.recurrence(X, feedback=A, backend=None),
        errors.ArgumentError,
        "backend is a name such as 'auto'",
    ),
    "unsupported by the backend": (
        lambda: mr.recurrence(tensor(4, 3, 20), feedback=tensor(4, 3, 20, 2), backend="unfold_scan"),
        errors.UnsupportedError,
        r"'unfold_scan' does not support time-varying feedback of order 2 .* for x of shape \(4, 3, 20\), float32\. "
        "Backends that do: .*torch_loop",
    ),
    "numba from a device without host memory": (
        lambda: plan_elsewhere("numba"),
        errors.UnsupportedError,
        "torch and numpy share no memory there",
    ),
    "no backend at all": (
        lambda: plan_elsewhere("auto"),
        errors.UnsupportedError,
        "no installed backend computes this problem",
    ),
    "channels of x": (
        lambda: mr.recurrence(np.zeros((4, 5, 20)), feedback=A),
        errors.ShapeError,
        r"x of shape \(4, 5, 20\) \(layout 'BCT', .*\) has 5, feedback of shape \(3, 2\) has 3",
    ),
    "two axes that are batch and time": (
        lambda: mr.recurrence(np.zeros((4, 20)), feedback=A),
        errors.ShapeError,
        r"pass x\[:, None\] for one shared channel",
    ),
    "coefficients of unequal channels": (
        lambda: mr.recurrence(X, feedforward=np.zeros((2, 3)), feedback=A),
        errors.ShapeError,
        r"feedforward of shape \(2, 3\) has 2, feedback of shape \(3, 2\) has 3",
    ),
    "rank of coefficients": (
        lambda: mr.recurrence(X, feedback=np.zeros((1, 1, 4, 3, 20, 2))),
        errors.ShapeError,
        r"rank 6; .* rank 2, .* rank 3, or time-varying .* rank 4",
    ),
    "length of time-varying coefficients": (
        lambda: mr.recurrence(X, feedback=np.zeros((4, 3, 19, 2))),
        errors.ShapeError,
        r"feedback of shape \(4, 3, 19, 2\) does not fit x of shape \(4, 3, 20\)",
    ),
    "gate without an axis of taps": (
        lambda: mr.recurrence(X, feedback=1 - X),
        errors.ShapeError,
        r"feedback has x's own shape \(4, 3, 20\)\. .* pass feedback\[\.\.\., None\]\. "
        r"If 20 taps .* pass feedback\[\.\.\., None, :\]",
    ),
    "gate without an axis of taps, sequence first": (
        lambda: mr.recurrence(tensor(20, 4), feedforward=tensor(20, 4), layout="TBC"),
        errors.ShapeError,
        r"pass feedforward\[\.\.\., None\]\. .* pass feedforward\[None\]",
    ),
    "gate without an axis of taps, of a gradient": (
        lambda: vjp(X, X, feedback=1 - X, layout="BTC"),
        errors.ShapeError,
        r"pass feedback\[\.\.\., None\]\. .* pass feedback\[\.\.\., None, :, :\]",
    ),
    "gate of y's shape without an axis of taps": (
        lambda: mr.recurrence(X[:, :1], feedback=1 - X),
        errors.ShapeError,
        r"feedback has a signal's shape \(4, 3, 20\)\. .* pass feedback\[\.\.\., None\]\. ",
    ),
    "gate of one example without an axis of taps": (
        lambda: mr.recurrence(X, feedforward=X[:1]),
        errors.ShapeError,
        r"feedforward has a signal's shape \(1, 3, 20\)\. .* pass feedforward\[\.\.\., None, :\]",
    ),
    "gate of y's shape without an axis of taps, sequence first": (
        lambda: mr.recurrence(tensor(20, 4, 1), feedback=tensor(20, 1, 3), layout="TBC"),
        errors.ShapeError,
        r"feedback has a signal's shape \(20, 1, 3\)\. .* pass feedback\[\.\.\., None\]\. ",
    ),
    "boolean mask as gate": (
        lambda: mr.recurrence(X, feedback=(X > 0)[..., None]),
        errors.DtypeError,
        r"feedback has dtype bool; .* feedback\.astype\(x\.dtype\)",
    ),
    "boolean mask as gate of tensors": (
        lambda: mr.recurrence(tensor(4, 3, 20), feedforward=tensor(4, 3, 20, 1) > 0),
        errors.DtypeError,
        r"feedforward has dtype bool; .* feedforward\.to\(x\.dtype\)",
    ),
    "boolean design": (
        lambda: mr.RecurrenceBank.from_ba(tensor(2) > 0, tensor(2)),
        errors.DtypeError,
        "b has dtype torch.bool; coefficients are numbers",
    ),
    "batch of per-example coefficients": (
        lambda: mr.recurrence(X, feedback=np.zeros((5, 3, 2))),
        errors.ShapeError,
        r"per-example coefficients have \(batch…, channels, taps\)",
    ),
    "size of the state": (
        lambda: mr.recurrence(X, feedback=A, state=(None, np.zeros((4, 3, 3), np.float32))),
        errors.ShapeError,
        r"state\.outputs has shape \(4, 3, 3\), expected \(4, 3, 2\)",
    ),
    "layout of the state": (
        lambda: mr.recurrence(X, feedback=A, state=(None, np.zeros((2, 4, 3), np.float32))),
        errors.ShapeError,
        r"expected \(4, 3, 2\): the last p .* in layout 'BCT'",
    ),
    "family of the state": (
        lambda: mr.recurrence(X, feedback=A, state=(None, tensor(4, 3, 2))),
        errors.FamilyError,
        r"x is a numpy array and state\.outputs is a torch array; with such an x it must be numpy\.",
    ),
    "integer state": (
        lambda: mr.recurrence(X, feedback=A, state=(None, np.zeros((4, 3, 2), int))),
        errors.DtypeError,
        "state.outputs has dtype int64, expected float32",
    ),
    "wider state": (
        lambda: mr.recurrence(X, feedforward=B, state=(np.zeros((4, 3, 1)), None)),
        errors.DtypeError,
        "state.inputs has dtype float64, expected float32, which is x's",
    ),
    "state that is an array": (
        lambda: mr.recurrence(X, feedback=A, state=np.zeros((4, 3, 2))),
        errors.ArgumentError,
        r"state is a multirec\.State\(inputs, outputs\) or None, got ndarray",
    ),
    "devices": (
        lambda: mr.recurrence(tensor(4, 3, 20), feedback=tensor(3, 2, device="meta")),
        errors.DeviceError,
        "x is on cpu and feedback is on meta",
    ),
    "device of the state": (
        lambda: mr.recurrence(tensor(4, 3, 20), feedback=A, state=(None, tensor(4, 3, 2, device="meta"))),
        errors.DeviceError,
        "x is on cpu and state.outputs is on meta",
    ),
    "mixed families": (
        lambda: mr.recurrence(X, feedback=tensor(3, 2)),
        errors.FamilyError,
        "x is a numpy array and feedback is a torch array",
    ),
    "integer x": (
        lambda: mr.recurrence(X.astype(int), feedback=A),
        errors.DtypeError,
        r"x has dtype int64; .* x\.astype\('float32'\)",
    ),
    "boolean x": (lambda: mr.recurrence(X > 0, feedback=A), errors.DtypeError, "x has dtype bool"),
    "integer tensor": (
        lambda: mr.recurrence(tensor(4, 3, 20, dtype=torch.int32), feedback=A),
        errors.DtypeError,
        r"x has dtype int32; .* x\.to\(torch\.float32\)\.",
    ),
    "complex half tensor": (
        lambda: mr.recurrence(tensor(4, 3, 20, dtype=torch.complex32), feedback=A),
        errors.DtypeError,
        r"x has dtype complex32; .* x\.to\(torch\.complex64\)\.",
    ),
    "more than double precision": (
        lambda: mr.recurrence(X.astype(np.longdouble), feedback=A),
        errors.DtypeError,
        rf"x has dtype {np.dtype(np.longdouble).name}; .* x\.astype\('float64'\)\.",
    ),
    "complex coefficients of more than double precision": (
        lambda: mr.recurrence(X, feedback=A.astype(np.clongdouble)),
        errors.DtypeError,
        r"feedback has dtype complex\d+; .* feedback\.astype\('complex128'\)\.$",
    ),
    "integer coefficients": (
        lambda: mr.recurrence(X, feedback=A.astype(int)),
        errors.DtypeError,
        r"feedback has dtype int64; .* RecurrenceBank\.from_ba, which takes integers",
    ),
    "half precision and complex": (
        lambda: mr.recurrence(tensor(4, 3, 20, dtype=torch.float16), feedback=tensor(3, 2, dtype=torch.complex64)),
        errors.DtypeError,
        "complex half type, which multirec does not have",
    ),
    "scalar": (
        lambda: mr.recurrence(np.array(3.0), feedback=A),
        errors.ShapeError,
        r"x has shape \(\); layout 'BCT' needs",
    ),
    "one axis": (
        lambda: mr.recurrence(np.zeros(30), feedback=A),
        errors.ShapeError,
        r"Pass x\[None\] for one channel",
    ),
    "one axis, time first": (
        lambda: mr.recurrence(np.zeros(30), feedback=A, layout="TBC"),
        errors.ShapeError,
        r"Pass x\[:, None\] for one channel",
    ),
    "coefficients of one axis": (
        lambda: mr.recurrence(X, feedback=np.zeros(2)),
        errors.ShapeError,
        r"pass feedback\[None\] for one filter",
    ),
    "bank of one axis": (
        lambda: mr.RecurrenceBank(feedback=np.zeros(2)),
        errors.ShapeError,
        r"Pass feedback\[None\] for one filter",
    ),
    "zero a0": (
        lambda: mr.RecurrenceBank.from_ba([1, 2], [0, 1]),
        errors.ArgumentError,
        r"a\[\.\.\., 0\] is 0 in 1 filters",
    ),
    "zero a0 of a section": (
        lambda: mr.RecurrenceBank.from_sos([[1, 0, 0, 0, 1, 0]]),
        errors.ArgumentError,
        "is 0 in 1 filters",
    ),
    "b and a of two libraries": (
        lambda: mr.RecurrenceBank.from_ba(tensor(1, 2), np.ones((1, 2))),
        errors.FamilyError,
        "b is a torch array and a is a numpy array",
    ),
    "b and a of unequal channels": (
        lambda: mr.RecurrenceBank.from_ba(np.ones((2, 3)), np.ones((3, 3))),
        errors.ShapeError,
        r"b has shape \(2, 3\) and a has shape \(3, 3\)",
    ),
    "words for coefficients": (
        lambda: mr.RecurrenceBank.from_ba(["one"], [1]),
        errors.DtypeError,
        "coefficients are numbers",
    ),
    "shape of sections": (
        lambda: mr.RecurrenceBank.from_sos(np.zeros((3, 5))),
        errors.ShapeError,
        r"it is \(channels, sections, 6\)",
    ),
    "state of a cascade": (
        lambda: mr.RecurrenceBank.from_sos([[1, 0, 0, 1, 0, 0]])(X, (mr.State(), mr.State())),
        errors.ArgumentError,
        "a tuple of 1 States, got 2 parts",
    ),
    "empty feedforward": (
        lambda: mr.recurrence(X, feedforward=np.zeros((3, 0)), feedback=A),
        errors.ShapeError,
        "it has no taps",
    ),
    "no coefficients": (lambda: mr.recurrence(X), errors.ArgumentError, "both None"),
    "bank without coefficients": (mr.RecurrenceBank, errors.ArgumentError, "both None"),
    "time-varying bank": (
        lambda: mr.RecurrenceBank(feedback=np.zeros((4, 3, 20, 2)))(X),
        errors.ShapeError,
        r"Call multirec\.recurrence with it",
    ),
    "unknown layout": (
        lambda: mr.recurrence(X, feedback=A, layout="TCB"),
        errors.ArgumentError,
        "unknown layout 'TCB'. The layouts are 'BCT'",
    ),
    "unknown layout of a bank": (
        lambda: mr.RecurrenceBank(feedback=A, layout="TCB"),
        errors.ArgumentError,
        "unknown layout",
    ),
    "layout that is no string": (
        lambda: mr.recurrence(X, feedback=A, layout=["BCT"]),
        errors.ArgumentError,
        "unknown layout",
    ),
    "reverse that is no bool": (
        lambda: mr.recurrence(X, feedback=A, reverse=1),
        errors.ArgumentError,
        "reverse is True or False, got 1",
    ),
    "sparse tensor": (
        lambda: mr.recurrence(tensor(4, 3, 20).to_sparse(), feedback=A),
        errors.DtypeError,
        r"Pass x\.to_dense\(\)",
    ),
    "nested tensor": (
        lambda: mr.recurrence(torch.nested.nested_tensor([tensor(3, 4), tensor(3, 5)]), feedback=A),
        errors.DtypeError,
        "nested",
    ),
    "quantised tensor": (
        lambda: mr.recurrence(torch.quantize_per_tensor(tensor(4, 3, 20), 0.1, 0, torch.qint8), feedback=A),
        errors.DtypeError,
        "x has dtype qint8",
    ),
    "list": (
        lambda: mr.recurrence([[1.0, 2.0]], feedback=A),
        errors.FamilyError,
        r"x is a builtins\.list, expected an array",
    ),
    "masked array": (
        lambda: mr.recurrence(np.ma.zeros((4, 3, 20)), feedback=A),
        errors.FamilyError,
        r"Pass x\.filled\(0\)",
    ),
    "threads": (lambda: mr.set_num_threads(0), errors.ArgumentError, "at least 1, got 0"),
    "gradient of the wrong shape": (
        lambda: mr.adjoint.vjp(np.zeros((4, 3, 19)), X, feedback=A),
        errors.ShapeError,
        r"grad_y has shape \(4, 3, 19\), expected \(4, 3, 20\)",
    ),
    "gradient of the wrong precision": (
        lambda: mr.adjoint.vjp(np.zeros((4, 3, 20)), X, feedback=A),
        errors.DtypeError,
        "grad_y has dtype float64, expected float32",
    ),
    "y of the wrong shape": (
        lambda: mr.adjoint.vjp(X, X, feedback=A, y=X[..., :1]),
        errors.ShapeError,
        r"y has shape \(4, 3, 1\), expected \(4, 3, 20\)",
    ),
    "gradient of a state of the wrong shape": (
        lambda: mr.adjoint.vjp(X, X, feedback=A, grad_state=mr.State(None, np.zeros((1, 1, 1), np.float32))),
        errors.ShapeError,
        r"grad_state\.outputs has shape \(1, 1, 1\), expected \(4, 3, 2\)",
    ),
    "gradient of another library": (
        lambda: mr.adjoint.vjp(torch.zeros(4, 3, 20), X, feedback=A),
        errors.FamilyError,
        "grad_y is a torch array, expected numpy",
    ),
    "gradient that is a list": (
        lambda: mr.adjoint.vjp([[1.0]], X, feedback=A),
        errors.FamilyError,
        "grad_y is a builtins.list",
    ),
    "vjp of a tensor": (
        lambda: mr.adjoint.vjp(tensor(1, 3), tensor(1, 3), feedback=np.zeros((1, 1))),
        errors.FamilyError,
        "vjp is for NumPy and CuPy arrays, got torch",
    ),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", CASES)
def test_refused(name: str) -> None:
    call, own, message = CASES[name]
    with pytest.raises(BUILTINS[own], match=message) as caught:
        call()
    assert isinstance(caught.value, own)
    assert isinstance(caught.value, errors.MultirecError)


def test_every_error_refines_a_builtin() -> None:
    for name in set(errors.__all__) - {"MultirecError", "RoundingWarning"}:
        kind = getattr(errors, name)
        assert issubclass(kind, errors.MultirecError)
        assert any(base.__module__ == "builtins" and base is not Exception for base in kind.__mro__[2:-3]), name
