"""Blocks instead of samples: a block's response as matrices, carries from block to block."""

from multirec.backend import COMPLEX_DTYPES, HALF_DTYPES, REAL_DTYPES, BackendInfo, Problem


def _decline(problem: Problem) -> str | None:
    if problem.wide and problem.device_type == "mps":
        return "float64 on mps, which has no such type"
    feedback = problem.feedback
    if feedback is not None and feedback.time > 1 and problem.order > 1:
        return (
            f"time-varying feedback of order {problem.order} (it supports time-varying order 1, "
            "and static and per-example coefficients of any order)"
        )
    return None


info = BackendInfo(
    name="unfold_scan",
    summary="blocked recurrence by matrix products in torch; no Python loop over samples",
    kernel="multirec_backends.unfold_scan._kernel:kernel",
    family="torch",
    requires=("torch",),
    install="'multirec-bank[torch]'",
    devices=("cpu", "cuda", "mps", "xpu"),
    dtypes=HALF_DTYPES + REAL_DTYPES + COMPLEX_DTYPES,
    wide=True,
    decline=_decline,
)
