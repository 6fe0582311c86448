"""Every error that multirec raises on purpose.

Each class is both a `MultirecError` and the built-in exception it refines, so callers may catch either.
A message says what was asked, what was got, why, and what to do.
"""

from __future__ import annotations

__all__ = [
    "ArgumentError",
    "AxisError",
    "BackendBrokenError",
    "BackendMissingError",
    "DeviceError",
    "DtypeError",
    "FamilyError",
    "LibraryMissingError",
    "MultirecError",
    "RoundingWarning",
    "ShapeError",
    "UnknownBackendError",
    "UnsupportedError",
]


class MultirecError(Exception):
    """Base class of every error that multirec raises on purpose."""


class ArgumentError(MultirecError, ValueError):
    """An argument has a value that means nothing here (an unknown layout, a zero a0, ...)."""


class ShapeError(ArgumentError):
    """Shapes do not fit together, or an array has the wrong rank."""


class AxisError(ArgumentError, IndexError):
    """An array has no such axis."""


class DtypeError(MultirecError, TypeError):
    """An array has a data type that the recurrence is not defined for."""


class FamilyError(MultirecError, TypeError):
    """Arrays of different libraries are mixed, or something is not an array of a known library."""


class DeviceError(MultirecError, ValueError):
    """Arrays are on different devices."""


class UnknownBackendError(MultirecError, ValueError):
    """No backend of that name is registered."""


class BackendMissingError(MultirecError, ImportError):
    """The backend is registered, but something that it needs is not installed."""


class BackendBrokenError(MultirecError, RuntimeError):
    """The backend is registered and installed, but fails to load, or to give what backends give."""


class LibraryMissingError(MultirecError, ImportError):
    """What was asked for needs an optional library that is not installed."""


class UnsupportedError(MultirecError, NotImplementedError):
    """The backend works here, but does not compute this problem."""


class RoundingWarning(UserWarning):
    """Rounding coefficients to the precision that is computed in spoils a filter."""
