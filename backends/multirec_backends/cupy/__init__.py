"""CUDA kernels compiled at run time, for torch CUDA tensors, and through CuPy for CuPy arrays and JAX CUDA arrays."""

from multirec.backend import COMPLEX_DTYPES, HALF_DTYPES, REAL_DTYPES, BackendInfo, Family, Problem


def _without_cupy(family: Family) -> bool:
    from ._launch.toolkit import find

    return family not in ("cupy", "jax") and find() is not None


def _note(problem: Problem) -> str:
    from ._launch.toolkit import find
    from ._plan import plan

    toolkit = find() if problem.family == "torch" else None
    return f"{plan(problem, _every).note}; launched by {toolkit or 'CuPy'}"


def _every(name: str) -> bool:
    return True


OLDEST_CUPY = 14

info = BackendInfo(
    name="cupy",
    summary="CUDA kernels compiled at run time: tiles of time scanned in parallel, fused gradient",
    kernel="multirec_backends.cupy._device:kernel",
    family="cuda",
    requires=(f"cupy>={OLDEST_CUPY}",),
    without=_without_cupy,
    install="'multirec-bank[cupy13]' (CUDA 13) or 'multirec-bank[cupy12]'",
    devices=("cuda",),
    dtypes=HALF_DTYPES + REAL_DTYPES + COMPLEX_DTYPES,
    promise="bitwise",
    note=_note,
)
