"""`RecurrenceCascade`: banks of second-order sections that run in turn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy.typing as npt

from .._core.axes import of_step, with_time, without_time
from .._core.problem import Layout, split_shape
from .._core.state import State
from .._core.trees import TREES, Tree
from ..errors import ArgumentError, ShapeError
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
        self, x: Array, state: tuple[State, ...] | None = None, *, out: Array | None = None
    ) -> tuple[Array, tuple[State, ...]]:
        """Filter a block; x, y and `out` as in `multirec.recurrence`. With `out`, sections run in its memory."""
        after = []
        for bank, before in zip(self.sections, self._states(state), strict=True):
            x, own = bank(x, before, out=out if bank is self.sections[-1] or self._fills(bank, x, out) else None)
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

    def _states(self, state: tuple[State, ...] | None) -> tuple[State | None, ...]:
        if state is None:
            return (None,) * len(self.sections)
        if not isinstance(state, tuple) or len(state) != len(self.sections):
            got = f"{len(state)} parts" if isinstance(state, tuple) else type(state).__name__
            raise ArgumentError(f"the state of this cascade is a tuple of {len(self.sections)} States, got {got}.")
        return state

    def __repr__(self) -> str:
        return f"{type(self).__name__}(sections={len(self.sections)}, channels={self.channels}, order={self.order})"


def _take_apart(cascade: RecurrenceCascade) -> tuple[list[tuple[str | int, Any]], Any]:
    return list(enumerate(cascade.sections)), None


def _put_together(_: None, banks: Iterable[Any]) -> RecurrenceCascade:
    return RecurrenceCascade(list(banks))


TREES.append(Tree(RecurrenceCascade, _take_apart, _put_together))
