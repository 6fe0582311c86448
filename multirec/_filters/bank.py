"""`RecurrenceBank`: coefficients, layout and backend chosen once, applied to any number of signals."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, TypeAlias

from .._core.arrays import family_of, is_compiling, is_double, spec_of
from .._core.axes import unambiguous, with_time, without_time
from .._core.coefficients import check_taps_dtype
from .._core.problem import ComputeDtype, Layout
from .._core.state import State
from .._core.trees import TREES, Tree
from .._core.validate import Choices, as_choices
from .._engine.call import split_state
from .._engine.precision import computes_wide, damage_of, has_double, has_float64, warn
from .._recurrence import run
from .._registry.choice import check_name
from ..errors import ArgumentError, ShapeError
from .cascade import RecurrenceCascade
from .design import Source, Taps, sections, transfer_function

Array: TypeAlias = Any


class RecurrenceBank:
    """A bank of C recurrences of one order, with static or per-example coefficients.

    Imports no array library and copies nothing: it holds the coefficients as given (a torch Parameter
    stays one) and reads them at each call. Whether float32 can hold a float64 design is judged there, by its values.

    Parameters
    ----------
    feedback, feedforward, layout, reverse, backend, compute_dtype
        As in `multirec.recurrence`. Coefficients that vary along time go to `recurrence`.

    Attributes
    ----------
    feedforward, feedback
        What is passed to `multirec.recurrence` now; may be set.
    layout, reverse, backend, compute_dtype
        As given; `backend` stays the name asked for, ``"auto"`` included.
    order
        The number p of past outputs.
    channels
        The number C of filters.

    Raises
    ------
    UnknownBackendError, BackendMissingError, BackendBrokenError
        At construction, when the backend cannot be used here.

    Example
    -------
    >>> import numpy as np, multirec as mr
    >>> bank = mr.RecurrenceBank(feedback=np.array([[0.5], [-0.5]]))
    >>> y, state = bank(np.ones((1, 1, 3)))
    >>> y
    array([[[1.  , 1.5 , 1.75],
            [1.  , 0.5 , 0.75]]])
    >>> y_t, state = bank.step(np.ones((1, 1)), state)
    >>> y_t
    array([[1.875, 0.625]])
    """

    _name = ""
    _damage = ""
    _warned = ""

    def __init__(
        self,
        *,
        feedback: Array | None = None,
        feedforward: Array | None = None,
        layout: Layout = "BCT",
        reverse: bool = False,
        backend: str = "auto",
        compute_dtype: ComputeDtype | None = None,
    ) -> None:
        self._hold(Taps(feedback, feedforward), as_choices(layout, reverse, backend, compute_dtype))

    @classmethod
    def _of(cls, source: Source, choices: Choices, name: str = "") -> RecurrenceBank:
        bank = object.__new__(cls)
        bank._hold(source, choices, name)
        return bank

    def _hold(self, source: Source, choices: Choices, name: str = "") -> None:
        check_name(choices.backend)
        self.layout, self.reverse, self.backend, self.compute_dtype = choices
        self._mendable = computes_wide(choices.backend)
        self._name = name
        self._take(source)
        if "jax" in sys.modules:
            # makes banks pytrees
            from .._jax import pytrees  # noqa: F401

    def _take(self, source: Source) -> None:
        taps = source.taps()
        _check_taps(taps)
        self._source = source
        if self.compute_dtype is None:
            self._judge(taps)

    @classmethod
    def from_ba(
        cls,
        b: Any,
        a: Any,
        *,
        layout: Layout = "BCT",
        reverse: bool = False,
        backend: str = "auto",
        compute_dtype: ComputeDtype | None = None,
    ) -> RecurrenceBank:
        """Return a bank from SciPy's transfer functions.

        Parameters
        ----------
        b, a
            Numerators and denominators, (C, n) each, or (n,) for one filter that serves all channels: arrays or lists,
            integers welcome. They are divided by a[..., 0]: NumPy's once; a torch Parameter, a tensor that requires a
            gradient, and arrays of JAX at each call, so that they can be trained.
        layout, reverse, backend, compute_dtype
            As in `multirec.recurrence`. With `compute_dtype` None, a float64 design that rounding to float32 would
            make unstable, or change by more than 1 % of its largest response, is computed in float64 with float32
            and half signals.

        Warns
        -----
        RoundingWarning
            At a call, once a design: rounding spoils a filter and nothing computes it in float64.

        Raises
        ------
        ArgumentError
            Some a[..., 0] is 0.

        Example
        -------
        >>> import numpy as np, multirec as mr
        >>> bank = mr.RecurrenceBank.from_ba([1, 0, -1], [2, -1, 0.5])
        >>> bank.feedforward, bank.feedback
        (array([[ 0.5,  0. , -0.5]]), array([[ 0.5 , -0.25]]))
        """
        return cls._of(transfer_function(b, a), as_choices(layout, reverse, backend, compute_dtype))

    @classmethod
    def from_sos(
        cls,
        sos: Any,
        *,
        layout: Layout = "BCT",
        reverse: bool = False,
        backend: str = "auto",
        compute_dtype: ComputeDtype | None = None,
    ) -> RecurrenceCascade:
        """Return a cascade from SciPy's second-order sections.

        Parameters
        ----------
        sos
            (C, S, 6), or (S, 6) for one cascade that serves all channels; rows are (b0, b1, b2, a0, a1, a2). Each
            section is divided by its a0, and judged for what rounding does to it, as in `from_ba`.
        layout, reverse, backend, compute_dtype
            As in `from_ba`.

        Example
        -------
        >>> import multirec as mr
        >>> cascade = mr.RecurrenceBank.from_sos([[1, 0, 0, 1, -0.5, 0], [1, 1, 0, 1, 0, 0]])
        >>> len(cascade.sections)
        2
        """
        choices = as_choices(layout, reverse, backend, compute_dtype)
        named = ((f"section {index}: ", source) for index, source in enumerate(sections(sos)))
        return RecurrenceCascade([cls._of(source, choices, name) for name, source in named])

    @property
    def feedforward(self) -> Array | None:
        return self._source.taps().feedforward

    @feedforward.setter
    def feedforward(self, taps: Array | None) -> None:
        self._take(Taps(self.feedback, taps))

    @property
    def feedback(self) -> Array | None:
        return self._source.taps().feedback

    @feedback.setter
    def feedback(self, taps: Array | None) -> None:
        self._take(Taps(taps, self.feedforward))

    @property
    def order(self) -> int:
        feedback = self.feedback
        return 0 if feedback is None else int(feedback.shape[-1])

    @property
    def channels(self) -> int:
        sizes = [int(taps.shape[-2]) for taps in self._source.taps() if taps is not None]
        return next((size for size in sizes if size != 1), 1)

    def __call__(self, x: Array, state: State | None = None) -> tuple[Array, State]:
        """Filter a block; see `multirec.recurrence`."""
        family_of(x)
        own = feedback, feedforward = self._source.taps()
        _check_kind(x, feedforward, feedback)
        choices = Choices(self.layout, self.reverse, self.backend, self._precision(x, own))
        feedforward, feedback = unambiguous(feedforward, x, self.layout), unambiguous(feedback, x, self.layout)
        return run((x, feedforward, feedback, *split_state(state)), choices)

    def step(self, x: Array, state: State | None = None) -> tuple[Array, State]:
        """Filter one sample: x and y are (batch…, channels), without the time axis."""
        y, state = self(with_time(x, self.layout), state)
        return without_time(y, self.layout), state

    def _precision(self, x: Array, taps: Taps) -> ComputeDtype | None:
        """Return what to compute in, by the values of float64 coefficients."""
        if self.compute_dtype is not None or is_double(x):
            return self.compute_dtype
        if is_compiling():
            # with the values of before; where those say nothing, the operator looks at them when it runs
            return "float64" if self._damage and self._mendable and has_float64(x) else None
        if not has_double(taps):
            return None
        self._judge(taps)
        if self._damage and self._mendable and has_float64(x):
            return "float64"
        if self._damage and self._warned != self._damage:
            self._warned = self._damage
            warn(self._damage, self.backend)
        return "float32"

    def _judge(self, taps: Taps) -> None:
        """Judge coefficients as far as they can be looked at now: a compiled call relies on it."""
        if not has_double(taps) or any(getattr(part, "requires_grad", False) for part in self._source):
            self._damage = ""
            return
        found = damage_of(taps.feedforward, taps.feedback)
        if found is not None:
            self._damage = self._name + found if found else ""

    def __repr__(self) -> str:
        compute_dtype = "" if self.compute_dtype is None else f", compute_dtype={self.compute_dtype!r}"
        return (
            f"{type(self).__name__}(channels={self.channels}, order={self.order}, layout={self.layout!r}, "
            f"reverse={self.reverse}, backend={self.backend!r}{compute_dtype})"
        )


def _take_apart(bank: RecurrenceBank) -> tuple[list[tuple[str | int, Any]], Any]:
    # all are arrays: sections of JAX's are transfer functions of their own
    source = bank._source
    choices = bank.layout, bank.reverse, bank.backend, bank.compute_dtype
    return list(zip(source._fields, source, strict=True)), (type(source), bank._name, choices)


def _put_together(structure: Any, leaves: Iterable[Any]) -> RecurrenceBank:
    # leaves may be anything while a library takes trees apart, so nothing is checked
    bank = object.__new__(RecurrenceBank)
    kind, bank._name, choices = structure
    bank.layout, bank.reverse, bank.backend, bank.compute_dtype = choices
    bank._mendable = computes_wide(bank.backend)
    bank._source = kind(*leaves)
    return bank


TREES.append(Tree(RecurrenceBank, _take_apart, _put_together))


def _check_taps(taps: Taps) -> None:
    if taps.feedback is None and taps.feedforward is None:
        raise ArgumentError(
            "feedforward and feedback are both None, so there is nothing to compute. "
            "Pass feedforward (an FIR filter), feedback (a recurrence), or both."
        )
    for name, part in zip(taps._fields, taps, strict=True):
        if part is None:
            continue
        family_of(part, name)
        if part.ndim < 2:
            hint = f" Pass {name}[None] for one filter." if part.ndim == 1 else ""
            raise ShapeError(
                f"{name} has shape {tuple(part.shape)}; a bank's coefficients are (channels, taps) or "
                f"(batch…, channels, taps).{hint}"
            )
        check_taps_dtype(name, spec_of(part, name))


def _check_kind(x: Array, feedforward: Array | None, feedback: Array | None) -> None:
    for name, taps in (("feedforward", feedforward), ("feedback", feedback)):
        if taps is not None and taps.ndim == x.ndim + 1 and taps.ndim > 2:
            raise ShapeError(
                f"{name} of shape {tuple(taps.shape)} is time-varying for x of shape {tuple(x.shape)}; a bank "
                "holds static or per-example coefficients. Call multirec.recurrence with it."
            )
