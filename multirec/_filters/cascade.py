"""`RecurrenceCascade`: banks of second-order sections, run in one pass or in turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy.typing as npt

from .._core.arrays import family_of
from .._core.axes import namespace, of_step, with_time, without_time, zeros
from .._core.problem import Layout, split_shape
from .._core.state import State
from .._engine.call import split_state
from .._sequences.marks import Marks, marks_of
from ..errors import ArgumentError, ShapeError
from .one_pass import in_one_pass, in_types_of
from .scipy_form import sos_of

if TYPE_CHECKING:
    from .bank import RecurrenceBank

Array: TypeAlias = Any


class RecurrenceCascade:
    """Second-order sections run in turn: what `RecurrenceBank.from_sos` returns.

    Its state is a tuple of one `State` a section. It is never multiplied out to one polynomial, whose
    roots float32 could not hold.

    Attributes
    ----------
    sections
        The banks, in the order they run.
    """

    def __init__(self, banks: list[RecurrenceBank]) -> None:
        if not banks:
            raise ArgumentError("a cascade has at least one section, got none.")
        self.sections = tuple(banks)

    @property
    def layout(self) -> Layout:
        return self.sections[0].layout

    @property
    def reverse(self) -> bool:
        return self.sections[0].reverse

    @property
    def backend(self) -> str:
        return self.sections[0].backend

    @property
    def order(self) -> int:
        return sum(bank.order for bank in self.sections)

    @property
    def channels(self) -> int:
        return next((bank.channels for bank in self.sections if bank.channels != 1), 1)

    def __call__(
        self,
        x: Array,
        state: tuple[State, ...] | None = None,
        *,
        out: Array | None = None,
        resets: Array | None = None,
        lengths: Array | Sequence[int] | None = None,
        cu_seqlens: Array | Sequence[int] | None = None,
    ) -> tuple[Array, tuple[State, ...]]:
        """Filter a block; x, y, `out` and what marks sequences off as in `multirec.recurrence`.

        Where the backend can, all sections run in one pass, and what lies between them is in the precision computed in
        and is not written to memory. Else, and where there are several sequences, they run one by one, with `out` in
        its memory.
        """
        states, marks = self._states(state), marks_of(resets, lengths, cu_seqlens)
        fused = in_one_pass(self.sections, x, states, out) if marks is None else None
        return self._one_by_one(x, states, out, marks) if fused is None else fused

    def _one_by_one(
        self, x: Array, states: tuple[State, ...], out: Array | None, marks: Marks | None
    ) -> tuple[Array, tuple[State, ...]]:
        after, cuts = [], Marks() if marks is None else marks
        for bank, before in zip(self.sections, states, strict=True):
            own_out = out if bank is self.sections[-1] or self._fills(bank, x, out) else None
            x, own = bank(x, in_types_of(x, before), out=own_out, **cuts._asdict())
            after.append(own)
        return x, tuple(after)

    def _fills(self, bank: RecurrenceBank, x: Array, out: Array | None) -> bool:
        """Whether a section's y has the shape of the cascade's; the last section says what is wrong with `out`."""
        if out is None or getattr(out, "ndim", None) != x.ndim:
            return False
        have, wanted = (split_shape(tuple(array.shape), self.layout)[1] for array in (x, out))
        return wanted == (bank.channels if have == 1 else have)

    def step(
        self, x: Array, state: tuple[State, ...] | None = None, *, out: Array | None = None
    ) -> tuple[Array, tuple[State, ...]]:
        """Filter one sample: x, y and `out` are (batch…, channels), without the time axis."""
        layout = self.layout
        block, target = with_time(x, layout), None if out is None else with_time(out, layout, "out")
        try:
            y, state = self(block, state, out=target)
        except ShapeError as error:
            raise of_step(error, x, out) from None
        return without_time(y, layout) if out is None else out, state

    def sos(self) -> npt.NDArray[Any]:
        """Return SciPy's second-order sections (C, S, 6), as a NumPy array of double precision without gradient.

        Raises
        ------
        ShapeError
            A section has more than three taps.

        Example
        -------
        >>> import multirec as mr
        >>> mr.RecurrenceBank.from_sos([[2, 0, 0, 2, -1, 0], [1, 1, 0, 1, 0, 0]]).sos()
        array([[[ 1. ,  0. ,  0. ,  1. , -0.5,  0. ],
                [ 1. ,  1. ,  0. ,  1. ,  0. ,  0. ]]])
        """
        return sos_of(bank.ba() for bank in self.sections)

    def zi_from_state(self, state: tuple[State, ...]) -> Array:
        """Return SciPy's zi of a state: (S, …), then the axes of y with 2 along that of time, in running order.

        It is what `scipy.signal.sosfilt` goes on with after this cascade, channel by channel.
        """
        parts = zip(self.sections, self._states(state), strict=True)
        rows = [None if own.inputs is None and own.outputs is None else bank.zi_from_state(own) for bank, own in parts]
        like = next((row for row in rows if row is not None), None)
        if like is None:
            raise ArgumentError("every State is (None, None), which stands for zeros of any shape; so does zi=None.")
        return namespace(like).stack([zeros(like, tuple(like.shape)) if row is None else row for row in rows])

    def state_from_zi(self, zi: Array) -> tuple[State, ...]:
        """Return a state that continues what SciPy's filters left in their zi, (S, …) as `zi_from_state` has it.

        Raises
        ------
        ArgumentError
            No past samples leave this zi in a section; `multirec.signal` takes every zi.
        """
        family_of(zi, "zi")
        if zi.shape[:1] != (len(self.sections),):
            raise ShapeError(
                f"zi has shape {tuple(zi.shape)}; it is (sections, …) with {len(self.sections)} sections, and then the "
                "axes of y with 2 along that of time."
            )
        return tuple(bank.state_from_zi(own) for bank, own in zip(self.sections, zi, strict=True))

    def _states(self, state: tuple[State, ...] | None) -> tuple[State, ...]:
        if state is None:
            return (State(),) * len(self.sections)
        if not isinstance(state, tuple) or len(state) != len(self.sections):
            got = f"{len(state)} parts" if isinstance(state, tuple) else type(state).__name__
            raise ArgumentError(f"the state of this cascade is a tuple of {len(self.sections)} States, got {got}.")
        return tuple(State(*split_state(own)) for own in state)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(sections={len(self.sections)}, channels={self.channels}, order={self.order})"
