"""Whether a backend computes what it declares, and what of that a machine cannot tell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .._registry.probe import status_of
from .._registry.registry import registry
from ..backend import HALF_DTYPES, Kind
from ..errors import BackendBrokenError, BackendMissingError
from .libraries import libraries
from .library import Library
from .problems import Case, TapsKind
from .subject import Subject, Tally, tally_of

__all__ = ["declarations", "dtypes_of", "subjects_of", "unchecked"]

_NARROW = (*HALF_DTYPES, "float32", "complex64")


def declarations(subject: Subject) -> Tally:
    """Each kind of coefficients that is declared is computed in some problem, and computed right; so is float64."""
    tally = Tally()
    kinds = subject.info.kinds
    for kind in kinds:
        tally += _first(subject, f"{kind} coefficients", _cases(subject, kind))
    if subject.info.wide and subject.dtype in _NARROW:
        wide = [replace(case, compute_dtype="float64") for kind in kinds for case in _cases(subject, kind)]
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


def _cases(subject: Subject, kind: Kind) -> list[Case]:
    """Return problems of one kind that differ in all else, so that what a backend declines leaves it one of them."""
    pairs: tuple[tuple[TapsKind, TapsKind], ...] = ((kind, kind), ("none", kind), (kind, "none"))
    return [
        Case(
            dtype=subject.dtype,
            feedforward=feedforward,
            feedback=feedback,
            order=order,
            **setting,
        )
        for setting in _settings(kind)
        for order in (2, 1, 3)
        for feedforward, feedback in pairs
    ]


def _settings(kind: Kind) -> tuple[dict[str, Any], ...]:
    return (
        {"layout": "BTC", "reverse": True, "shared": kind != "static"},
        {},
        {"layout": "TBC", "batch": (8,), "channels": 32, "length": 128},
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
