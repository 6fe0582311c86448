"""What a call is computed in where its coefficients are float64 and its signal is not.

Rounding a design to the signal's precision must not ruin it in silence. Designs whose values can be looked at are
judged once (`_rounding`): what would be spoiled is computed in float64, or warned about where that is impossible.
"""

from __future__ import annotations

import sys
import warnings
from hashlib import blake2b
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ._arrays import family_of, is_compiling, is_traced
from ._canonical import taps_in
from ._problem import Spec, Taps, real_precision
from ._registry import registry
from ._rounding import damage
from ._validate import Call, Choices, Specs, plan_call
from .errors import RoundingWarning

Array: TypeAlias = Any
Design: TypeAlias = npt.NDArray[Any]

SPOILED = "with its coefficients rounded to float32,"
REMEDY = (
    "Pass compute_dtype='float64', with a backend that computes so (in JAX with jax_enable_x64 on), or 'float32' to "
    "round them without this warning."
)
_MANY = 1024
_judged: dict[bytes, str] = {}


def settled(specs: Specs, arrays: tuple[Array | None, ...], choices: Choices) -> Choices:
    """Return choices that compute in float64 where rounding would spoil a filter; warn where nothing can."""
    found = spoiled(specs, arrays, choices)
    if not found:
        return choices
    if can_widen(arrays[0], choices.backend):
        return choices._replace(compute_dtype="float64")
    warn(found)
    return choices


def spoiled(specs: Specs, arrays: tuple[Array | None, ...], choices: Choices) -> str:
    """Say which filters of a call rounding would spoil; nothing if none, or if the caller decides."""
    x, feedforward, feedback, *_ = specs
    if choices.compute_dtype is not None or _is_wide(x) or not (_is_wide(feedforward) or _is_wide(feedback)):
        return ""
    # not of the state, whose precision this decides
    call = plan_call(x, feedforward, feedback, None, None, choices)
    taps = (call.problem.feedforward, arrays[1]), (call.problem.feedback, arrays[2])
    return _remembered(*(_static(own, array, call, len(x.shape)) for own, array in taps))


def can_widen(x: Array, backend: str) -> bool:
    """Whether signals like x can be computed in float64 by a backend, or by one that "auto" picks."""
    return has_float64(x) and computes_wide(backend)


def has_float64(x: Array) -> bool:
    """Whether x's library has float64 where x is."""
    family = family_of(x)
    if family == "jax":
        from ._jax import has_64_bit

        return has_64_bit()
    return family != "torch" or x.device.type != "mps"


def computes_wide(backend: str) -> bool:
    """Whether a backend, or one that "auto" picks, computes float32 signals in float64."""
    return backend == "auto" or registry.info(backend).wide


def warn(found: str) -> None:
    """Warn of damage that is not mended; a graph that torch compiles has nothing to warn with."""
    if is_compiling():
        return
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "multirec":
        level, frame = level + 1, frame.f_back
    warnings.warn(f"{SPOILED} {found}. {REMEDY}", RoundingWarning, stacklevel=level + 1)


def damage_of(feedforward: Array | None, feedback: Array | None) -> str:
    """Judge coefficients (…, C, taps), as far as their values can be looked at."""
    return damage(_values(feedforward), _values(feedback))


def _is_wide(array: Spec | None) -> bool:
    return array is not None and real_precision(array.dtype) == "float64"


def _static(taps: Taps | None, array: Array | None, call: Call, rank: int) -> Design | None:
    """Return coefficients (B|1, C|1, taps) that do not vary along time, as far as they can be looked at."""
    values = None if taps is None or taps.time != 1 else _values(array)
    return None if taps is None or values is None else taps_in(values, taps, call, rank)[:, :, 0]


def _remembered(*taps: Design | None) -> str:
    """Return the damage to coefficients, remembered by their content."""
    content = blake2b(digest_size=16)
    for part in taps:
        content.update(b"" if part is None else repr((part.shape, part.dtype)).encode() + part.tobytes())
    key = content.digest()
    found = _judged.get(key)
    if found is None:
        if len(_judged) >= _MANY:
            _judged.clear()
        found = _judged[key] = damage(*taps)
    return found


def _values(taps: Array | None) -> Design | None:
    """Return the values of coefficients that are on the host and that nothing differentiates or traces."""
    if taps is None or is_traced(taps):
        return None
    if isinstance(taps, np.ndarray):
        return taps
    torch = sys.modules.get("torch")
    if torch is None or type(taps) not in (torch.Tensor, torch.nn.Parameter):
        return None
    if taps.requires_grad or taps.device.type != "cpu":
        return None
    values: Design = taps.numpy(force=True)
    return values
