"""Array libraries: results come back in the caller's own, on the same memory where that is possible."""

from __future__ import annotations

import subprocess
import sys

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch

import multirec as mr
from multirec._memory.hand_over import hand_over

A = np.array([[0.5, -0.25], [0.25, 0.5]])
X = np.random.default_rng(0).standard_normal((3, 2, 8)).astype(np.float32)
BACKENDS = ["reference", "torch_loop", "unfold_scan", "numba"]


def expected() -> np.ndarray:
    return mr.recurrence(X.astype(np.float64), feedback=A.astype(np.float32).astype(np.float64), backend="reference")[0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_family_gets_its_own_back(backend: str) -> None:
    for make, kind in ((np.asarray, np.ndarray), (torch.from_numpy, torch.Tensor), (jnp.asarray, jax.Array)):
        y, state = mr.recurrence(make(X), feedback=A, backend=backend)
        for part in (y, state.inputs, state.outputs):
            assert isinstance(part, kind)
        assert "float32" in str(y.dtype)
        np.testing.assert_allclose(np.asarray(y), expected(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("layout", ["BCT", "BTC", "TBC"])
def test_y_is_contiguous_whatever_x_is(backend: str, layout: str) -> None:
    order = {"BCT": (0, 1, 2), "BTC": (0, 2, 1), "TBC": (2, 0, 1)}[layout]
    for x in (X.transpose(order), torch.from_numpy(X).permute(order)):
        y, state = mr.recurrence(x, feedback=A, layout=layout, backend=backend)
        for part in (y, state.outputs):
            contiguous = part.is_contiguous() if isinstance(part, torch.Tensor) else part.flags.c_contiguous
            assert contiguous
        np.testing.assert_allclose(np.asarray(y), expected().transpose(order), rtol=1e-5, atol=1e-6)


def test_large_outputs_are_aligned() -> None:
    for x in (np.zeros((1, 1, 5000), np.float32), torch.zeros(1, 1, 5001)):
        y, _ = mr.recurrence(x, feedback=A[:, :1])
        address = y.data_ptr() if isinstance(y, torch.Tensor) else y.ctypes.data
        assert address % 64 == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_awkward_inputs(backend: str) -> None:
    read_only = X.copy()
    read_only.flags.writeable = False
    backwards = np.ascontiguousarray(X[..., ::-1])[..., ::-1]
    swapped = X.astype(X.dtype.newbyteorder())
    unaligned = np.frombuffer(b"\0" + X.tobytes(), np.float32, offset=1).reshape(X.shape)
    for x in (read_only, backwards, swapped, unaligned):
        y, _ = mr.recurrence(x, feedback=A, backend=backend)
        np.testing.assert_allclose(y, expected(), rtol=1e-5, atol=1e-6)
    wide = torch.from_numpy(X[:1]).expand(3, 2, 8)
    y, _ = mr.recurrence(wide, feedback=A, backend=backend)
    np.testing.assert_allclose(y.numpy(), np.broadcast_to(expected()[:1], y.shape), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_conjugated_tensors(backend: str) -> None:
    x = torch.randn(2, 2, 6, dtype=torch.complex64)
    a = torch.randn(2, 1, dtype=torch.complex64) * 0.5
    lazy, _ = mr.recurrence(x.conj(), feedback=a.conj(), backend=backend)
    plain, _ = mr.recurrence(x.conj().resolve_conj(), feedback=a.conj().resolve_conj(), backend=backend)
    assert torch.equal(lazy, plain)
    assert "conjugate" in str(mr.explain(x.conj(), feedback=a))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_types_accumulate_in_float32(backend: str, dtype: str) -> None:
    x = torch.ones(1, 1, 600, dtype=getattr(torch, dtype))
    y, _ = mr.recurrence(x, feedback=np.array([[0.99]]), backend=backend)
    assert y.dtype is x.dtype
    exact = 100 * (1 - np.float32(0.99).astype(float) ** np.arange(1, 601))
    ulp = 2.0 ** (-11 if dtype == "float16" else -8)
    np.testing.assert_allclose(y.double().numpy()[0, 0], exact, rtol=1.01 * ulp)


def test_bfloat16_of_numpy() -> None:
    x = X.astype(ml_dtypes.bfloat16)
    y, state = mr.recurrence(x, feedback=A, backend="numba")
    assert y.dtype == state.inputs.dtype == x.dtype
    assert state.outputs.dtype == np.float32
    tensor, _ = mr.recurrence(torch.from_numpy(X).bfloat16(), feedback=A, backend="numba")
    np.testing.assert_array_equal(y.astype(np.float32), tensor.float().numpy())


@pytest.mark.parametrize(("source", "target"), [("numpy", "torch"), ("torch", "numpy"), ("jax", "numpy")])
def test_hand_over_shares_memory(source: str, target: str) -> None:
    make = {"numpy": np.ascontiguousarray, "torch": torch.from_numpy, "jax": jnp.asarray}[source]
    array = make(X)
    other = hand_over(array, source, target)

    def address(array: object) -> int:
        if isinstance(array, torch.Tensor):
            return array.data_ptr()
        return np.asarray(array).ctypes.data

    assert address(array) == address(other)


def test_torch_gets_no_address_between_two_items() -> None:
    array = np.ndarray((3, 2), "complex128", np.zeros(97, np.uint8), 1)
    assert hand_over(array, "numpy", "torch").data_ptr() % 8 == 0


def test_float64_coefficients_leave_float32_audio_alone() -> None:
    parameter = torch.from_numpy(A).requires_grad_()
    y, _ = mr.recurrence(torch.from_numpy(X), feedback=parameter)
    assert y.dtype is torch.float32
    y.sum().backward()
    assert parameter.grad.dtype is torch.float64


def test_explain_tells_of_a_copied_batch() -> None:
    x = np.zeros((3, 4, 1, 9)).transpose(1, 0, 2, 3)
    assert "do not collapse" in str(mr.explain(x, feedback=A))
    assert "copied" not in str(mr.explain(np.zeros((3, 4, 1, 9)), feedback=A))


def test_shapes_without_values() -> None:
    x = torch.zeros(8, 3, 1, device="meta", requires_grad=True)
    a = torch.zeros(2, 2, device="meta", dtype=torch.float64, requires_grad=True)
    y, state = mr.recurrence(x, feedforward=np.ones((1, 3)), feedback=a, layout="TBC")
    real, tails = mr.recurrence(torch.zeros(8, 3, 1), feedforward=np.ones((1, 3)), feedback=A[:2], layout="TBC")
    for one, other in zip((y, *state), (real, *tails), strict=True):
        assert one.is_meta
        assert (one.shape, one.dtype, one.stride()) == (other.shape, other.dtype, other.stride())
    grads = torch.autograd.grad(y.sum() + state.outputs.sum(), [x, a])
    assert [(grad.shape, grad.dtype) for grad in grads] == [(x.shape, x.dtype), (a.shape, a.dtype)]


def awkward() -> dict[str, object]:
    """Arrays of X's values, by what is said of their copy for NumPy's, torch's and JAX's kernels."""
    aligned = mr.recurrence(np.zeros((3, 2, 4096), np.float32), feedback=A, backend="numba")[0]
    return {
        "plain": aligned,
        "bytes in another order": aligned.astype(">f4"),
        "item size": np.frombuffer(b"\0" + aligned.tobytes(), np.float32, offset=1).reshape(aligned.shape),
        "negative": aligned[..., ::-1],
        "not contiguous": aligned[..., ::2],
        "64 bytes": np.ndarray((3, 2, 100), np.float32, aligned, 4),
        "conjugate": torch.zeros(3, 2, 8, dtype=torch.complex64).conj(),
    }


def address_of(array: object) -> int:
    return array.data_ptr() if isinstance(array, torch.Tensor) else np.asarray(array).ctypes.data


@pytest.mark.parametrize(
    "what", ["plain", "bytes in another order", "item size", "negative", "not contiguous", "64 bytes", "conjugate"]
)
@pytest.mark.parametrize("backend", ["numba", "torch_loop", "jax"])
def test_explain_names_each_copy_of_the_hand_over(what: str, backend: str) -> None:
    x = awkward()[what]
    family = "torch" if isinstance(x, torch.Tensor) else "numpy"
    target = {"numba": "numpy", "torch_loop": "torch", "jax": "jax"}[backend]
    notes = [note for note in mr.explain(x, feedback=A, backend=backend).notes if note.startswith("x ")]
    # host arrays become NumPy's first, and then the kernel's
    given = x if family == target == "torch" else hand_over(hand_over(x, family, "numpy"), "numpy", target)
    copied = what == "conjugate" or address_of(given) != address_of(x)
    assert bool(notes) == copied
    if notes and not (backend == "jax" and what == "negative"):
        assert what in notes[0]


def test_explain_names_the_copies_of_coefficients_and_states() -> None:
    state = mr.State(outputs=np.zeros((3, 2, 2), ">f4"))
    notes = mr.explain(X, feedback=A.astype(">f8"), state=state, backend="numba").notes
    assert [note.partition(" has ")[0] for note in notes] == ["feedback", "state.outputs"]


def test_explain_is_about_the_backend_asked_for() -> None:
    explanation = mr.explain(X, feedback=A, backend="reference")
    assert (explanation.chosen, explanation.asked) == ("reference", "reference")
    assert "reference is asked for, and computes this" in str(explanation)
    explanation = mr.explain(X, feedback=A, backend="cupy")
    assert explanation.chosen is None
    assert "cupy is asked for, and does not compute this" in str(explanation)
    with pytest.raises(mr.errors.UnknownBackendError, match="Did you mean 'numba'"):
        mr.explain(X, feedback=A, backend="nubma")


@pytest.mark.parametrize("call", ["import multirec", "import multirec; multirec.recurrence", "import multirec.cli"])
def test_import_loads_no_array_library_but_numpy(call: str) -> None:
    heavy = "{'torch', 'numba', 'jax', 'cupy', 'scipy', 'hypothesis', 'pytest'}"
    code = f"{call}; import sys; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
