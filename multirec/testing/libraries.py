"""The array libraries that are installed: how each makes arrays, and gradients by its own autograd."""

from __future__ import annotations

import importlib
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from .. import adjoint
from .._core.state import State
from .._registry.choice import Explanation
from ..backend import COMPLEX_DTYPES, HALF_DTYPES, REAL_DTYPES, Target
from .library import NAMES, Array, Library, options
from .problems import Arguments, Case, Memory, Wide

__all__ = ["JaxLibrary", "Library", "NumpyLibrary", "TorchLibrary", "libraries", "options"]


class NumpyLibrary(Library):
    """NumPy on the host; gradients through `multirec.adjoint.vjp`."""

    name = "numpy"
    device = "cpu"

    def __init__(self) -> None:
        half = HALF_DTYPES if find_spec("ml_dtypes") else ("float16",)
        self.dtypes = (*half, *REAL_DTYPES, *COMPLEX_DTYPES)

    def memories(self, dtype: str) -> tuple[Memory, ...]:
        return "strided", "flipped", "expanded", "read_only"

    def put(self, values: Wide, dtype: str, memory: str = "contiguous", axis: int = 0) -> Array:
        kind: Any = importlib.import_module("ml_dtypes").bfloat16 if dtype == "bfloat16" else dtype
        array: Array = np.ascontiguousarray(values).astype(kind)
        if memory == "strided":
            wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
            wide[..., ::2] = array
            return wide[..., ::2]
        if memory == "flipped":
            return np.ascontiguousarray(array[..., ::-1])[..., ::-1]
        if memory == "expanded" and axis >= 0 and array.size:
            return np.broadcast_to(array.take([0], axis), array.shape)
        if memory == "read_only":
            array.flags.writeable = False
        return array

    def get(self, array: Array) -> Wide:
        wide: Wide = array.astype(np.complex128 if np.iscomplexobj(array) else np.float64)
        return wide

    def gradients(self, case: Case, backend: str, operands: list[Array], given: Arguments) -> Any:
        y, state = self.call(case, backend, operands)
        x, *taps = operands[:3]
        grad_y = np.broadcast_to(np.zeros((), y.dtype), y.shape)
        parts = [
            None if values is None else self.put(values, dtype)
            for values, dtype in zip(given[5:], (case.y_dtype, case.dtype, case.state_dtype), strict=True)
        ]
        found = adjoint.vjp(
            grad_y if parts[0] is None else parts[0],
            x,
            **options(case, operands),
            grad_state=State(*parts[1:]),
            y=y,
            backend=backend,
        )
        grads = (
            None if own is None or grad is None else grad.reshape(own.shape)
            for own, grad in zip(taps, (found.feedforward, found.feedback), strict=True)
        )
        return y, state, (found.x, *grads, *found.state)

    def dtype_of(self, array: Array) -> str:
        return str(array.dtype.name)

    def is_contiguous(self, array: Array) -> bool:
        return bool(array.flags.c_contiguous)


class TorchLibrary(Library):
    """Torch on one device; gradients through autograd."""

    dtypes = (*HALF_DTYPES, *REAL_DTYPES, *COMPLEX_DTYPES)
    freezes = True

    def __init__(self, device: str = "cpu") -> None:
        self.name = f"torch {device}"
        self.device = device
        self._torch: Any = importlib.import_module("torch")

    def memories(self, dtype: str) -> tuple[Memory, ...]:
        return ("strided", "expanded", *(("conjugated",) if dtype in COMPLEX_DTYPES else ()))

    def put(self, values: Wide, dtype: str, memory: str = "contiguous", axis: int = 0) -> Array:
        kind = getattr(self._torch, dtype)
        tensor = self._torch.from_numpy(np.array(values, order="C")).to(self.device, kind)
        if memory == "strided":
            wide = tensor.new_zeros((*tensor.shape[:-1], 2 * tensor.shape[-1]))
            wide[..., ::2] = tensor
            return wide[..., ::2]
        if memory == "expanded" and axis >= 0 and tensor.numel():
            return tensor.narrow(axis, 0, 1).expand(tensor.shape)
        if memory == "conjugated" and kind.is_complex:
            return tensor.conj().resolve_conj().conj()
        return tensor

    def get(self, array: Array) -> Wide:
        kind = self._torch.complex128 if array.is_complex() else self._torch.float64
        wide: Wide = array.detach().to("cpu", kind).resolve_conj().numpy()
        return wide

    def gradients(self, case: Case, backend: str, operands: list[Array], given: Arguments) -> Any:
        wants = [name.partition(".")[0] not in case.frozen for name in NAMES]
        leaves = [
            None if operand is None else operand.detach().requires_grad_(want)
            for operand, want in zip(operands, wants, strict=True)
        ]
        y, state = self.call(case, backend, leaves)
        pairs = [
            (result, self.put(values, self.dtype_of(result)))
            for result, values in zip((y, *state), given[5:], strict=True)
            if values is not None and result.requires_grad
        ]
        wanted = [leaf for leaf in leaves if leaf is not None and leaf.requires_grad]
        outs, cotangents = zip(*pairs, strict=True)
        found = iter(self._torch.autograd.grad(outs, wanted, cotangents, allow_unused=True))
        grads = [_or_zeros(next(found), leaf) if leaf is not None and leaf.requires_grad else None for leaf in leaves]
        return y, state, grads

    def dtype_of(self, array: Array) -> str:
        return str(array.dtype).removeprefix("torch.")

    def is_contiguous(self, array: Array) -> bool:
        return bool(array.is_contiguous())


class JaxLibrary(Library):
    """JAX on the host, with 64-bit types; gradients through `jax.vjp`, inside `jit`."""

    name = "jax"
    device = "cpu"
    dtypes = (*HALF_DTYPES, *REAL_DTYPES, *COMPLEX_DTYPES)

    def __init__(self) -> None:
        self._jax: Any = importlib.import_module("jax")

    def put(self, values: Wide, dtype: str, memory: str = "contiguous", axis: int = 0) -> Array:
        with self._jax.enable_x64(True):
            return self._jax.numpy.asarray(values).astype(dtype)

    def get(self, array: Array) -> Wide:
        wide: Wide = np.asarray(array).astype(np.complex128 if np.iscomplexobj(array) else np.float64)
        return wide

    def call(self, case: Case, backend: str, operands: list[Array]) -> tuple[Array, State]:
        with self._jax.enable_x64(True):
            return super().call(case, backend, operands)

    def explain(self, case: Case, operands: list[Array]) -> Explanation:
        with self._jax.enable_x64(True):
            return super().explain(case, operands)

    def gradients(self, case: Case, backend: str, operands: list[Array], given: Arguments) -> Any:
        there = tuple(operand is not None for operand in operands)
        cotangents = [
            None if values is None else self.put(values, dtype)
            for values, dtype in zip(given[5:], (case.y_dtype, case.dtype, case.state_dtype), strict=True)
        ]
        with self._jax.enable_x64(True):
            run = self._compiled(case, backend, there)
            y, state, found = run([operand for operand in operands if operand is not None], cotangents)
        rest = iter(found)
        return y, state, [next(rest) if is_there else None for is_there in there]

    @lru_cache(maxsize=64)  # noqa: B019 - there is one library a process
    def _compiled(self, case: Case, backend: str, there: tuple[bool, ...]) -> Any:
        jax = self._jax

        def filtered(*leaves: Array) -> Any:
            rest = iter(leaves)
            return self.call(case, backend, [next(rest) if is_there else None for is_there in there])

        def both(leaves: list[Array], cotangents: list[Array | None]) -> Any:
            (y, state), pull = jax.vjp(filtered, *leaves)
            # JAX's gradients are the conjugates of ours
            parts = [
                result * 0 if values is None else values.conj()
                for result, values in zip((y, *state), cotangents, strict=True)
            ]
            return y, state, [gradient.conj() for gradient in pull((parts[0], State(*parts[1:])))]

        return jax.jit(both)

    def dtype_of(self, array: Array) -> str:
        return str(array.dtype)

    def is_contiguous(self, array: Array) -> bool:
        return True


def _or_zeros(gradient: Array | None, like: Array) -> Array:
    return like.detach() * 0 if gradient is None else gradient


def libraries(devices: tuple[str, ...], family: Target) -> list[Library]:
    """Return the libraries installed here that reach a backend of `family` on these devices, in float64 too.

    JAX compiles for every shape, which takes minutes: its arrays are for backends of its own.
    """
    found: list[Library] = [NumpyLibrary()] if "cpu" in devices else []
    if find_spec("torch"):
        # mps has no float64 to compare in
        found += [TorchLibrary(device) for device in devices if device in ("cpu", "cuda", "xpu")]
    if family == "jax" and "cpu" in devices:
        found.append(JaxLibrary())
    return found
