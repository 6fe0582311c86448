"""One torch step a sample, on any torch device: slow, small, and the model of a forward-only backend."""

from multirec.backend import COMPLEX_DTYPES, HALF_DTYPES, REAL_DTYPES, BackendInfo, Problem


def _decline(problem: Problem) -> str | None:
    return "float64 on mps, which has no such type" if problem.wide and problem.device_type == "mps" else None


info = BackendInfo(
    name="torch_loop",
    summary="one torch step a sample; every kind of coefficient, any torch device",
    kernel="multirec_backends.torch_loop._kernel:kernel",
    family="torch",
    requires=("torch",),
    install="'multirec-bank[torch]'",
    devices=("cpu", "cuda", "mps", "xpu"),
    dtypes=HALF_DTYPES + REAL_DTYPES + COMPLEX_DTYPES,
    wide=True,
    decline=_decline,
)
