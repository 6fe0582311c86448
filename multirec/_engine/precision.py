"""What a call is computed in where its coefficients are float64 and its signal is not.

Rounding a design to the signal's precision must not ruin it in silence. Designs whose values can be looked at are
judged once (`rounding`): what would be spoiled is computed in float64, or warned about where that is impossible.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Hashable, Iterable
from hashlib import blake2b
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .._core.arrays import family_of, has_64_bit, is_double, is_traced
from .._core.axes import taps_in
from .._core.problem import Spec, Taps, real_precision
from .._core.validate import Call, Choices, Specs
from .._registry.registry import registry
from ..backend import Operands
from ..errors import RoundingWarning
from .rounding import damage

Array: TypeAlias = Any
Design: TypeAlias = npt.NDArray[Any]

SPOILED = "with its coefficients rounded to float32,"
_MANY = 1024
_FEW_BYTES = 1 << 12
_judged: dict[Hashable, str] = {}
_told: set[Hashable] = set()


def decided_by_values(specs: Specs, choices: Choices) -> bool:
    """Whether the values of a call's coefficients decide what it is computed in."""
    x, feedforward, feedback, *_ = specs
    return choices.compute_dtype is None and not _is_wide(x) and (_is_wide(feedforward) or _is_wide(feedback))


def settled(call: Call, arrays: tuple[Array | None, ...], choices: Choices) -> Choices:
    """Return choices that compute in float64 where rounding would spoil a filter; warn where nothing can."""
    found = spoiled(call, arrays)
    if not found:
        return choices
    if can_widen(arrays[0], choices.backend):
        return choices._replace(compute_dtype="float64")
    warn(found, choices.backend)
    return choices


def spoiled(call: Call, arrays: tuple[Array | None, ...]) -> str:
    """Say which filters of a call, whose precision its values decide, rounding would spoil; nothing if none."""
    taps = (call.problem.feedforward, arrays[1]), (call.problem.feedback, arrays[2])
    return _remembered(*(_static(own, array, call) for own, array in taps))[1]


def tell_once(operands: Operands, choices: Choices) -> None:
    """Warn, once a design, of what rounding spoils in a compiled call, whose types were settled without its values."""
    x, *taps = operands[:3]
    if choices.compute_dtype is not None or is_double(x) or not has_double(taps):
        return
    values = (None if part is None or part.shape[2] != 1 else _values(part[:, :, 0]) for part in taps)
    key, found = _remembered(*values)
    if found and key not in _told:
        if len(_told) >= _MANY:
            _told.clear()
        _told.add(key)
        warn(found, choices.backend, "A compiled call cannot look at values, and computes in float32. ")


def can_widen(x: Array, backend: str) -> bool:
    """Whether signals like x can be computed in float64 by a backend, or by one that "auto" picks."""
    return has_float64(x) and computes_wide(backend)


def has_float64(x: Array) -> bool:
    """Whether x's library has float64 where x is."""
    family = family_of(x)
    if family == "jax":
        return has_64_bit()
    return family != "torch" or x.device.type != "mps"


def computes_wide(backend: str) -> bool:
    """Whether a backend, or one that "auto" picks, computes float32 signals in float64."""
    if backend == "auto":
        return True
    info = registry.entry(backend).info
    return info is not None and info.wide


def remedy(backend: str) -> str:
    """Say what to do about a filter that is spoiled."""
    wide = ", ".join(name for name, info, _ in registry.installed() if info is not None and info.wide)
    with_what = "a backend that computes so" if backend == "auto" else f"a backend that computes so ({wide})"
    return (
        f"Pass compute_dtype='float64' (to a function without it, x in float64), with {with_what} (in JAX with "
        "jax_enable_x64 on), or 'float32' to round them without this warning."
    )


def warn(found: str, backend: str, why: str = "") -> None:
    """Warn of a filter that rounding spoils and nothing computes in float64."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in ("multirec", "torch"):
        level, frame = level + 1, frame.f_back
    warnings.warn(f"{SPOILED} {found}. {why}{remedy(backend)}", RoundingWarning, stacklevel=level + 1)


def damage_of(feedforward: Array | None, feedback: Array | None) -> str | None:
    """Judge static coefficients (…, C, taps), remembered; None where values cannot be looked at."""
    taps = _values(feedforward), _values(feedback)
    for part, own in zip((feedforward, feedback), taps, strict=True):
        if part is not None and own is None:
            return None
    return _remembered(*taps)[1]


def has_double(taps: Iterable[Array | None]) -> bool:
    """Whether any coefficients are of double precision."""
    return any(part is not None and is_double(part) for part in taps)


def _is_wide(array: Spec | None) -> bool:
    return array is not None and real_precision(array.dtype) == "float64"


def _static(taps: Taps | None, array: Array | None, call: Call) -> Design | None:
    """Return coefficients (B|1, C|1, taps) that do not vary along time, as far as they can be looked at."""
    values = None if taps is None or taps.time != 1 else _values(array)
    return None if taps is None or values is None else taps_in(values, taps, call, len(call.y_shape))[:, :, 0]


def _content(taps: Design) -> bytes:
    """Return what tells numbers from others: themselves, if they are few."""
    content = taps.tobytes()
    return content if len(content) <= _FEW_BYTES else blake2b(content).digest()


def _remembered(*taps: Design | None) -> tuple[Hashable, str]:
    """Return a key of the content of coefficients, and the damage to them."""
    key = tuple(None if part is None else (part.shape, part.dtype.kind, _content(part)) for part in taps)
    found = _judged.get(key)
    if found is None:
        if len(_judged) >= _MANY:
            _judged.clear()
        found = _judged[key] = damage(*taps)
    return key, found


def _values(taps: Array | None) -> Design | None:
    """Return the values of coefficients that are on the host and that nothing differentiates or traces."""
    if taps is None or is_traced(taps):
        return None
    if isinstance(taps, np.ndarray):
        return taps if taps.dtype.char in "dD" else taps.astype(np.complex128 if taps.dtype.kind == "c" else np.float64)
    torch = sys.modules.get("torch")
    if torch is None or type(taps) not in (torch.Tensor, torch.nn.Parameter):
        return None
    if taps.requires_grad or taps.device.type != "cpu":
        return None
    double = torch.complex128 if taps.is_complex() else torch.float64
    values: Design = (taps if taps.dtype is double else taps.to(double)).numpy(force=True)
    return values
