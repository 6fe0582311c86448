"""Compiled CPU kernels: vectors over channels, threads over batch and channel groups, fused forward and vjp."""

from multirec.backend import COMPLEX_DTYPES, HALF_DTYPES, REAL_DTYPES, BackendInfo

info = BackendInfo(
    name="numba",
    summary="compiled for this CPU: SIMD over channels, threads over batch and channels, fused gradient",
    kernel="multirec_backends.numba._kernel:kernel",
    family="numpy",
    requires=("llvmlite",),
    install="'multirec-bank[numba]'",
    devices=("cpu",),
    dtypes=HALF_DTYPES + REAL_DTYPES + COMPLEX_DTYPES,
    wide=True,
    promise="bitwise",
)
