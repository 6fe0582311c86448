"""Kernels compiled for this CPU by llvmlite, numba's compiler; the package numba is not needed.

Vectors over channels, threads over batch and groups of channels, a fused gradient.
"""

from multirec.backend import COMPLEX_DTYPES, HALF_DTYPES, REAL_DTYPES, BackendInfo

info = BackendInfo(
    name="numba",
    summary="compiled by llvmlite, numba's compiler (numba itself is not needed): SIMD, threads, fused gradient",
    kernel="multirec_backends.numba._kernel:kernel",
    family="numpy",
    requires=("llvmlite>=0.46",),
    install="'multirec-bank[numba]'",
    devices=("cpu",),
    dtypes=HALF_DTYPES + REAL_DTYPES + COMPLEX_DTYPES,
    wide=True,
    promise="bitwise",
)
