"""CUDA through CuPy: kernels compiled at run time, for CuPy arrays, torch CUDA tensors and JAX CUDA arrays."""

from multirec.backend import COMPLEX_DTYPES, HALF_DTYPES, REAL_DTYPES, BackendInfo, Problem


def _note(problem: Problem) -> str:
    from ._plan import plan

    return plan(problem, lambda arguments: True).note


info = BackendInfo(
    name="cupy",
    summary="CUDA kernels compiled at run time: tiles of time scanned in parallel, fused gradient",
    kernel="multirec_backends.cupy._device:kernel",
    family="cuda",
    requires=("cupy>=14",),
    install="'multirec-bank[cupy13]' (CUDA 13) or 'multirec-bank[cupy12]'",
    devices=("cuda",),
    dtypes=HALF_DTYPES + REAL_DTYPES + COMPLEX_DTYPES,
    promise="bitwise",
    note=_note,
)
