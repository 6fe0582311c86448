"""`RecurrenceBank`: coefficients, layout and backend chosen once, applied to any number of signals."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy.typing as npt

from .._core.arrays import family_of, is_double
from .._core.axes import of_step, with_time, without_time
from .._core.problem import ComputeDtype, Layout
from .._core.state import State
from .._core.validate import Choices, as_choices
from .._engine.call import split_state
from .._recurrence import run
from .._registry.choice import check_name
from .._sequences.marks import marks_of
from ..errors import ShapeError
from .cascade import RecurrenceCascade
from .design import Source, Taps, sections, transfer_function
from .judgement import Judgement
from .scipy_form import ba_of
from .taps import check_taps, taps_for
from .zi import state_of, zi_of
from .zpk import sections_of

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
        self._judgement = Judgement(choices.backend, name)
        self._take(source)
        if "jax" in sys.modules:
            # makes banks pytrees, also where the bridge was loaded before them
            from .._jax.pytrees import register

            register()

    def _take(self, source: Source) -> None:
        taps = source.taps()
        check_taps(taps)
        self._source = source
        if self.compute_dtype is None:
            self._judgement.look(taps, source)

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
            integers welcome; a number is one tap, so a = 1.0 is an FIR filter. They are divided by a[..., 0]: NumPy's
            once; a torch Parameter, a tensor that requires a gradient, and arrays of JAX at each call, so that they can
            be trained.
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

    @classmethod
    def from_zpk(
        cls,
        z: Any,
        p: Any,
        k: Any,
        *,
        layout: Layout = "BCT",
        reverse: bool = False,
        backend: str = "auto",
        compute_dtype: ComputeDtype | None = None,
    ) -> RecurrenceCascade:
        """Return a cascade from zeros, poles and gains: k·Π(1 − z[i]/z) / Π(1 − p[i]/z), as SciPy's zpk.

        Parameters
        ----------
        z, p, k
            (C, zeros), (C, poles) and (C,), or (zeros,), (poles,) and a number for one filter that serves all
            channels: NumPy arrays or lists. What is complex comes with its conjugate. They become second-order
            sections, those of the poles nearest to the unit circle last, with the zeros nearest to them.
        layout, reverse, backend, compute_dtype
            As in `from_ba`.

        Raises
        ------
        ArgumentError
            A complex zero or pole has no conjugate.

        Example
        -------
        >>> import multirec as mr
        >>> mr.RecurrenceBank.from_zpk([-1.0], [0.5], 2).sos()
        array([[[ 2. ,  2. ,  0. ,  1. , -0.5,  0. ]]])
        """
        return cls.from_sos(
            sections_of(z, p, k), layout=layout, reverse=reverse, backend=backend, compute_dtype=compute_dtype
        )

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

    def __call__(
        self,
        x: Array,
        state: State | None = None,
        *,
        out: Array | None = None,
        resets: Array | None = None,
        lengths: Array | Sequence[int] | None = None,
        cu_seqlens: Array | Sequence[int] | None = None,
    ) -> tuple[Array, State]:
        """Filter a block; see `multirec.recurrence`."""
        family_of(x)
        taps, precision = self._source.taps(), self.compute_dtype
        if precision is None and not is_double(x):
            taps, precision = self._judgement.settle(x, taps, self._source)
        choices = Choices(self.layout, self.reverse, self.backend, precision)
        marks = marks_of(resets, lengths, cu_seqlens)
        return run((x, *taps_for(x, taps, self.layout), *split_state(state)), choices, out, marks)

    def step(self, x: Array, state: State | None = None, *, out: Array | None = None) -> tuple[Array, State]:
        """Filter one sample: x, y and `out` are (batch…, channels), without the time axis."""
        layout = self.layout
        block, target = with_time(x, layout), None if out is None else with_time(out, layout, "out")
        try:
            y, state = self(block, state, out=target)
        except ShapeError as error:
            raise of_step(error, x, out) from None
        return without_time(y, layout) if out is None else out, state

    def ba(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Return SciPy's (b (C, q+1), a (C, p+1)), a[:, 0] = 1, as NumPy arrays of double precision without gradient.

        Each row is a filter for `scipy.signal.lfilter`; per-example coefficients keep their batch axes. `from_ba` makes
        the same bank of them.

        Example
        -------
        >>> import multirec as mr
        >>> mr.RecurrenceBank.from_ba([1, 0, -1], [2, -1, 0.5]).ba()
        (array([[ 0.5,  0. , -0.5]]), array([[ 1.  , -0.5 ,  0.25]]))
        """
        return ba_of(self._source.taps())

    def zi_from_state(self, state: State) -> Array:
        """Return SciPy's zi of a state: what `scipy.signal.lfilter` goes on with after this bank.

        Returns
        -------
        The axes of y with n = max(p, q) along that of time, in running order, in the precision computed in.

        Example
        -------
        >>> import numpy as np, multirec as mr
        >>> bank = mr.RecurrenceBank.from_ba([1.0, 0.5], [1.0, -0.5])
        >>> y, state = bank(np.ones((1, 4)))
        >>> bank.zi_from_state(state)
        array([[1.875]])
        """
        return zi_of(State(*split_state(state)), self._source.taps(), self._choices)

    def state_from_zi(self, zi: Array) -> State:
        """Return a state that continues what SciPy's filter left in its zi.

        Parameters
        ----------
        zi
            The axes of y with n = max(p, q) along that of time, as `scipy.signal.lfilter` returns zf for each channel.

        Returns
        -------
        Past outputs alone where these suffice; inputs None are zeros.

        Raises
        ------
        ArgumentError
            No past samples leave this zi, as where the last coefficients of a filter are 0; `multirec.signal` takes
            every zi.

        Example
        -------
        >>> import numpy as np, multirec as mr
        >>> bank = mr.RecurrenceBank.from_ba([1.0, 0.5], [1.0, -0.5])
        >>> bank.state_from_zi(np.array([[1.875]])).outputs
        array([[3.75]])
        """
        return state_of(zi, self._source.taps(), self._choices)

    @property
    def _choices(self) -> Choices:
        return Choices(self.layout, self.reverse, self.backend, self.compute_dtype)

    def __repr__(self) -> str:
        compute_dtype = "" if self.compute_dtype is None else f", compute_dtype={self.compute_dtype!r}"
        return (
            f"{type(self).__name__}(channels={self.channels}, order={self.order}, layout={self.layout!r}, "
            f"reverse={self.reverse}, backend={self.backend!r}{compute_dtype})"
        )
