"""`filtfilt` and `sosfiltfilt`: forwards and backwards in time, so that nothing is delayed.

x is not copied to be padded: the filter runs over what comes before x, over x and over what comes after it, handing its
memory on, and then backwards over the latter and over y itself.
"""

from __future__ import annotations

import sys
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np

from .._core.arrays import family_of, is_traced
from .._core.axes import from_channels_time, to_channels_time
from .._core.problem import Layout
from .._sections import cascade
from ..errors import ArgumentError, UnsupportedError
from ._arrays import Array, as_array, check_family, host_values, like
from ._axes import Axes, axes_of
from ._coefficients import Transfer, as_sections, as_transfer, sections, transfer
from ._continued import continued
from ._gust import gustafsson
from ._padding import Padding, edge_of, extensions
from ._steady import section_steady, steady
from ._types import common_dtype, signal_in

__all__ = ["filtfilt", "sosfiltfilt"]

Method: TypeAlias = Literal["pad", "gust"]


def filtfilt(
    b: Any,
    a: Any,
    x: Any,
    axis: int = -1,
    padtype: Padding = "odd",
    padlen: int | None = None,
    method: Method = "pad",
    irlen: int | None = None,
    *,
    backend: str = "auto",
) -> Any:
    """Filter forwards and backwards, so that nothing is delayed, as `scipy.signal.filtfilt` does, or with a bank.

    Parameters
    ----------
    b, a, x, axis, backend
        As in `lfilter`.
    padtype
        What x is continued with at both ends: ``"odd"``, its reflection turned around the end; ``"even"``, its
        reflection; ``"constant"``, the end itself; None, nothing. Each way begins with the filter at rest at the
        first sample there is.
    padlen
        How many samples are added at each end, less than x has; None is 3 · max(len(a), len(b)).
    method
        ``"pad"``, or ``"gust"``: both orders of the two ways agree, which needs no padding. For NumPy alone.
    irlen
        With ``"gust"``, how many samples the impulse response lasts; None takes all of x into account.

    Returns
    -------
    y
        As from `lfilter`. Integers are float64 in NumPy.

    Raises
    ------
    ArgumentError, ShapeError, AxisError, UnsupportedError, DtypeError
        As from `lfilter`; an unknown `padtype` or `method`; x not longer than `padlen`; a filter that never comes to
        rest.

    References
    ----------
    F. Gustafsson, Determining the initial states in forward-backward filtering, IEEE Transactions on Signal Processing
    44 (1996), 988-992.

    Example
    -------
    >>> from multirec import signal
    >>> signal.filtfilt([0.5, 0.5], 1, [0, 1, 2, 3, 4, 5, 6.0])
    array([0., 1., 2., 3., 4., 5., 6.])
    """
    x, (b, a) = as_array(x, "x"), as_transfer(b, a)
    check_family(x, b=b, a=a)
    dtype = common_dtype(x, b, a, floating=True)
    filters = transfer(b, a, x, dtype)
    axes = axes_of(x, axis, bank=filters.bank)
    axes.check_filters(x, filters.filters, filters.source)
    x = signal_in(x, dtype, widened=filters.complex)
    if method == "gust":
        return _gust(filters, x, axes, irlen, backend)
    if method != "pad":
        raise ArgumentError(f"unknown method {method!r}. It is 'pad' or 'gust'.")
    edge = edge_of(padtype, padlen, x.shape[axes.axis], 3 * (filters.order + 1))

    def run(
        x: Array, memory: Array, layout: Layout, *, reverse: bool = False, over: bool = False
    ) -> tuple[Array, Array]:
        return continued(x, filters, memory, layout, reverse, backend, over=over)

    return _both_ways(run, steady(filters), x, axes, edge, padtype)


def sosfiltfilt(
    sos: Any,
    x: Any,
    axis: int = -1,
    padtype: Padding = "odd",
    padlen: int | None = None,
    *,
    backend: str = "auto",
) -> Any:
    """Filter forwards and backwards with second-order sections, as `scipy.signal.sosfiltfilt` does, or with a bank.

    Parameters
    ----------
    sos, x, axis, backend
        As in `sosfilt`.
    padtype
        As in `filtfilt`.
    padlen
        As in `filtfilt`; None is 3 · (2 S + 1 − m), where in m sections the last of b is 0, or the last of a if those
        are fewer; in a bank, of the filter with the smallest m. Needed where the values of sos cannot be looked at.

    Returns
    -------
    y
        As from `filtfilt`.

    Raises
    ------
    ArgumentError, ShapeError, AxisError, UnsupportedError, DtypeError
        As from `filtfilt`.

    Example
    -------
    >>> from multirec import signal
    >>> signal.sosfiltfilt([[0.5, 0.5, 0, 1, 0, 0]], [0, 1, 2, 3, 4, 5, 6.0])
    array([0., 1., 2., 3., 4., 5., 6.])
    """
    x, sos = as_array(x, "x"), as_sections(sos)
    check_family(x, sos=sos)
    dtype = common_dtype(x, sos, floating=True)
    rows = sections(sos, x, dtype)
    axes = axes_of(x, axis, bank=rows.bank)
    axes.check_filters(x, rows.filters, rows.source)
    x = signal_in(x, dtype, widened=rows.complex)
    ordinary = 3 * _count_taps(sos) if padlen is None and padtype is not None else 0
    edge = edge_of(padtype, padlen, x.shape[axes.axis], ordinary)

    def run(
        x: Array, memory: Array, layout: Layout, *, reverse: bool = False, over: bool = False
    ) -> tuple[Array, Array]:
        out = x if over else None
        y, memory, _ = cascade(x, rows.taps, memory, layout=layout, reverse=reverse, backend=backend, out=out)
        return y, memory

    return _both_ways(run, section_steady(rows), x, axes, edge, padtype)


class Run(Protocol):
    """Filters a block from a memory on, and returns y, written over x if that is asked for, and the memory after it."""

    def __call__(
        self, x: Array, memory: Array, layout: Layout, *, reverse: bool = False, over: bool = False
    ) -> tuple[Array, Array]: ...


def _both_ways(run: Run, steady: Array, x: Array, axes: Axes, edge: int, padtype: Padding) -> Array:
    """Return x filtered forwards and backwards; `steady` is the memory, (C, …), at rest at 1."""
    x = axes.view(x)
    signal, steady, trailing = to_channels_time(x, axes.layout), like(steady, x), steady.ndim - 2

    def at_rest(sample: Array) -> Array:
        return steady * (sample[..., None] if trailing else sample)

    if not edge:
        y, _ = run(x, at_rest(signal[..., :1]), axes.layout)
        memory = at_rest(to_channels_time(y, axes.layout)[..., -1:])
    else:
        before, after = extensions(signal, edge, padtype)
        _, memory = run(before, at_rest(before[..., :1]), "BCT")
        y, memory = run(x, memory, axes.layout)
        late, _ = run(after, memory, "BCT")
        _, memory = run(late, at_rest(late[..., -1:]), "BCT", reverse=True)
    y, _ = run(y, memory, axes.layout, reverse=True, over=_is_ours(y))
    return axes.restore(y)


def _is_ours(y: Array) -> bool:
    """Whether an array that was just computed may be written over: no derivative looks at it."""
    family = family_of(y)
    if family != "torch":
        return family != "jax"
    torch = sys.modules["torch"]
    in_forward_mode = torch.autograd.forward_ad._current_level >= 0
    return type(y) is torch.Tensor and not y.requires_grad and not in_forward_mode and not is_traced(y)


def _gust(filters: Transfer, x: Array, axes: Axes, irlen: int | None, backend: str) -> Array:
    if not isinstance(x, np.ndarray):
        raise UnsupportedError(
            f"method='gust' is for NumPy, and x is a {family_of(x)} array. Pass method='pad', or NumPy's arrays."
        )
    signal = to_channels_time(axes.view(x), axes.layout)
    y, _, _ = gustafsson(filters, signal, irlen, backend)
    return axes.restore(from_channels_time(y, axes.layout))


def _count_taps(sos: Array) -> int:
    """Return the taps of the longest polynomial that sections multiply out to, as SciPy counts them."""
    values = host_values(sos.detach() if family_of(sos) == "torch" else sos)
    if values is None:
        raise ArgumentError(
            "padlen is None, and how long the filter is is seen in the zeros of sos, whose values cannot be looked at "
            "here: they are traced, or on a device. Pass padlen, in SciPy 3 * (2 * sections + 1) or somewhat less."
        )
    shorter = np.minimum((values[..., 2] == 0).sum(-1), (values[..., 5] == 0).sum(-1))
    return 2 * int(values.shape[-2]) + 1 - int(shorter.min())
