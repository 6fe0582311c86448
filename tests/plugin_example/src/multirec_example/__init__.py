"""The smallest useful backend: a loop over samples in NumPy."""

from multirec.backend import BackendInfo

info = BackendInfo(
    name="example",
    summary="a NumPy loop over samples",
    kernel="multirec_example.kernel:kernel",
    family="numpy",
    requires=("numpy",),
    devices=("cpu",),
    dtypes=("float32", "float64", "complex64", "complex128"),
    max_order=8,
)
