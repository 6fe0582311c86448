"""XLA computes: steps, and on GPUs blocks by matrix products where they lose nothing to steps."""

from multirec.backend import COMPLEX_DTYPES, HALF_DTYPES, REAL_DTYPES, BackendInfo

info = BackendInfo(
    name="jax",
    summary="compiled by XLA: steps, on GPUs blocks by matrix products, inside jit, grad and vmap too",
    kernel="multirec_backends.jax._kernel:kernel",
    family="jax",
    requires=("jax>=0.10", "jaxlib"),
    install="'multirec-bank[jax]'",
    devices=("cpu", "cuda"),
    dtypes=HALF_DTYPES + REAL_DTYPES + COMPLEX_DTYPES,
    wide=True,
)
