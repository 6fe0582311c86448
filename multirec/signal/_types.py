"""Data types: SciPy's rules for NumPy's arrays, and for others the library's own promotion among its arrays.

NumPy's coefficients do not change the precision of another library's signal.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import reduce
from typing import Any, TypeAlias

import numpy as np

from .._core.arrays import family_of
from .._core.axes import namespace
from ..errors import DtypeError, UnsupportedError
from ._arrays import Array

__all__ = ["cast", "common_dtype", "in_precision", "is_complex", "memory_in", "precise", "signal_in"]

Dtype: TypeAlias = Any
"""A data type of some library."""

_COMPUTED = "fdFD"
_NOT_OURS = {"g": "longdouble", "G": "clongdouble", "O": "object"}


def common_dtype(x: Array, *others: Array, zi: Array | None = None, floating: bool = False) -> Dtype:
    """Return the data type of y: the one that arrays of x's library have in common.

    Integers alone have none in NumPy, as in SciPy, unless `floating`; elsewhere it is the library's own for numbers. Of
    zi in another library than NumPy only counts whether it is complex: it may be as precise as what is computed in.
    """
    if family_of(x) == "numpy":
        return _common_of_numpy([part.dtype for part in (x, *others, zi) if part is not None], floating)
    library = namespace(x)
    dtype = reduce(library.promote_types, [part.dtype for part in (x, *others) if not isinstance(part, np.ndarray)])
    dtype = _floating(dtype, library)
    return _complex(dtype, x) if zi is not None and is_complex(zi.dtype) else dtype


def _floating(dtype: Dtype, library: Any) -> Dtype:
    """Return a type, or the library's own for numbers in place of integers."""
    if library.__name__ == "torch":
        return dtype if dtype.is_floating_point or dtype.is_complex else library.get_default_dtype()
    if library.__name__ == "cupy":
        return dtype if dtype.kind in "fc" else np.dtype(np.float64)
    return dtype if library.issubdtype(dtype, library.inexact) else library.result_type(dtype, float)


def _common_of_numpy(dtypes: Iterable[np.dtype[Any]], floating: bool) -> np.dtype[Any]:
    dtypes = list(dtypes)
    names = ", ".join(dict.fromkeys(map(str, dtypes)))
    for dtype in dtypes:
        if dtype.char in _NOT_OURS:
            raise DtypeError(
                f"arrays of {names}: {_NOT_OURS[dtype.char]} is not computed in. Cast to float64 or complex128."
            )
    try:
        dtype = np.result_type(*dtypes)
    except TypeError as error:
        raise UnsupportedError(f"arrays of {names} have no common type of numbers. Cast them to float64.") from error
    if floating and dtype.kind in "biu":
        dtype = np.dtype(np.float64)
    if dtype.char not in _COMPUTED:
        raise UnsupportedError(
            f"arrays of {names} make y {dtype}, and filters are computed in float32, float64, complex64 and "
            "complex128. Cast one of the arrays to one of these."
        )
    return dtype.newbyteorder("=")


def is_complex(dtype: Dtype) -> bool:
    """Whether a data type of any library is complex."""
    return bool(dtype.is_complex) if hasattr(dtype, "is_complex") else dtype.kind == "c"


def _real(dtype: Dtype) -> Dtype:
    if not is_complex(dtype):
        return dtype
    return dtype.to_real() if hasattr(dtype, "to_real") else np.dtype(dtype.char.lower())


def _complex(dtype: Dtype, like: Array) -> Dtype:
    library = namespace(like)
    return dtype if is_complex(dtype) else library.promote_types(dtype, library.complex64)


def cast(array: Array, dtype: Dtype) -> Array:
    """Return an array in a data type of its library, itself where it has that already."""
    if array.dtype == dtype:
        return array
    return array.to(dtype) if hasattr(dtype, "to_real") else array.astype(dtype)


def signal_in(x: Array, dtype: Dtype, *, widened: bool) -> Array:
    """Return x in a precision, and complex if the type is, unless coefficients make y complex anyhow."""
    return cast(x, _real(dtype) if widened and not is_complex(x.dtype) else dtype)


def memory_in(zi: Array, x: Array, dtype: Dtype) -> Array:
    """Return zi, of x's library, in the type of y, or in a wider one of a library other than NumPy's."""
    if isinstance(x, np.ndarray):
        return cast(zi, dtype)
    zi = precise(zi, dtype)
    return cast(zi, namespace(zi).promote_types(zi.dtype, dtype))


def in_precision(part: Array, dtype: Dtype) -> Array:
    """Return an array of NumPy in the precision of a type of NumPy's, real or complex as it is."""
    return cast(part, _complex(dtype, part) if is_complex(part.dtype) else _real(dtype))


def precise(part: Array, dtype: Dtype) -> Array:
    """Return coefficients of any library in their own precision, but floating and in at least 32 bits.

    Integers of a library other than NumPy's get the precision of a type.
    """
    if isinstance(part, np.ndarray):
        own = _common_of_numpy([part.dtype], floating=True) if part.dtype.char != "e" else np.dtype(np.float32)
        return cast(part, own)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(part, torch.Tensor):
        floating = part.dtype.is_floating_point or part.dtype.is_complex
    else:
        floating = bool(namespace(part).issubdtype(part.dtype, namespace(part).inexact))
    own = part.dtype if floating else _real(dtype)
    return cast(part, own if own.itemsize > 2 else namespace(part).float32)
