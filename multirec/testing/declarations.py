"""Whether a backend computes what it declares, and what of that a machine cannot tell."""

from __future__ import annotations

from collections.abc import Iterator

from .._registry.probe import status_of
from .._registry.registry import registry
from ..backend import HALF_DTYPES, BackendInfo
from ..errors import BackendBrokenError, BackendMissingError
from .libraries import libraries
from .library import Library
from .problems import Case
from .subject import Subject, Tally, tally_of

__all__ = ["declarations", "dtypes_of", "subjects_of", "unchecked"]

_NARROW = (*HALF_DTYPES, "float32", "complex64")


def declarations(subject: Subject) -> Tally:
    """Each kind of coefficients that is declared is computed in some problem, and computed right; so is float64."""
    info = subject.info
    tally = Tally()
    for kind in info.kinds:
        tally += _first(subject, f"{kind} coefficients", list(_cases(info, subject.dtype, kind)))
    if info.wide and subject.dtype in _NARROW:
        wide = [case for kind in info.kinds for case in _cases(info, subject.dtype, kind, compute_dtype="float64")]
        tally += _first(subject, "arithmetic in float64", wide)
    return tally


def _first(subject: Subject, what: str, cases: list[Case]) -> Tally:
    """Compute the first case that is not refused; a failure if there is none."""
    tally = Tally()
    for case in cases:
        tally += tally_of(subject, [case], None, True)
        if tally.computed:
            return tally
    reasons = "; ".join(tally.refused)
    tally.failures.append(
        f"{what} of {subject.dtype}: declared, but none of {len(cases)} problems is computed: {reasons}"
    )
    return tally


def _cases(info: BackendInfo, dtype: str, kind: str, **fixed: str) -> Iterator[Case]:
    """Yield problems of one kind within the orders that are declared, the most usual ones first."""
    highest = 3 if info.max_order is None else info.max_order
    orders = dict.fromkeys(max(info.min_order, min(order, highest)) for order in (2, 1, 3))
    for order in orders:
        for feedforward, feedback in ((kind, kind), ("none", kind), (kind, "none")):
            if (order < 1 and feedback != "none") or (info.min_order > 0 and feedback == "none"):
                continue
            yield Case(
                dtype=dtype,
                feedforward=feedforward,  # type: ignore[arg-type]
                feedback=feedback,  # type: ignore[arg-type]
                order=order,
                radius=0.9 if order < 5 else 0.7,
                layout="BTC",
                shared=kind != "static",
                reverse=True,
                **fixed,  # type: ignore[arg-type]
            )


def dtypes_of(backend: str, library: Library) -> tuple[str, ...]:
    """Return the data types that both a backend and a library have."""
    own = registry.info(backend).dtypes
    return tuple(dtype for dtype in library.dtypes if dtype in own)


def subjects_of(backend: str) -> tuple[Subject, ...]:
    """Return a backend as every array library, device and data type sees it; raise unless it is ready."""
    info = registry.info(backend)
    registry.kernel(info)
    status = status_of(backend)
    if status.status != "ready":
        kind = BackendBrokenError if status.status == "broken" else BackendMissingError
        raise kind(f"backend {backend!r} is {status.status} here: {status.reason}. {status.fix}")
    return tuple(
        Subject(backend, library, dtype)
        for library in libraries(status.devices, info.family)
        for dtype in dtypes_of(backend, library)
    )


def unchecked(backend: str, subjects: tuple[Subject, ...]) -> tuple[str, ...]:
    """Return what a backend declares and this machine cannot check: devices, and data types that no library has."""
    info = registry.info(backend)
    devices = {subject.library.device for subject in subjects}
    dtypes = {subject.dtype for subject in subjects}
    return (
        *(f"device {device}" for device in info.devices if device not in devices),
        *(f"dtype {dtype}" for dtype in info.dtypes if dtype not in dtypes),
    )
