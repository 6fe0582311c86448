"""A cascade in one pass: its sections' coefficients and states put together, and states made of what comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .._core.arrays import family_of, is_compiling, is_double, name_of, spec_of
from .._core.axes import cast_to, concatenate, from_channels_time, namespace, tail, to_channels_time, zeros
from .._core.problem import HALF_DTYPES, and_wider, in_precision, output_dtype, real_precision, split_shape
from .._core.state import State
from .._core.validate import Choices
from .._engine.target import share
from .._sections import has_one_pass, run_sections
from .design import Section, Taps, TransferFunction

if TYPE_CHECKING:
    from .bank import RecurrenceBank

__all__ = ["in_one_pass", "in_types_of"]

Array: TypeAlias = Any

_FEW = 5
"""Sections whose steps cost less one by one."""


def in_one_pass(
    banks: Sequence[RecurrenceBank], x: Array, states: Sequence[State], out: Array | None
) -> tuple[Array, tuple[State, ...]] | None:
    """Return y and the states of sections in one pass; None where no kernel does that, or something does not fit."""
    choices = banks[0]._choices
    if is_compiling():
        return None
    if family_of(x) not in ("numpy", "torch", "jax") or x.ndim < 2 or any(bank._choices != choices for bank in banks):
        return None
    rows, precision = [bank._source.taps() for bank in banks], choices.compute_dtype
    if not all(map(_is_section, rows)) or _spreads(x, rows, choices):
        return None
    if precision is None and not is_double(x):
        found = [bank._judgement.settle(x, own, bank._source) for bank, own in zip(banks, rows, strict=True)]
        rows, precisions = [own for own, _ in found], {own for _, own in found}
        precision = "float64" if "float64" in precisions else max(precisions, key=bool)
    choices = choices._replace(compute_dtype=precision)
    if len(banks) <= _FEW and _is_one_sample(x, choices):
        return None
    taps = _taps_of(banks, rows)
    if taps is None or not has_one_pass((x, taps, None), choices):
        return None
    past = _Past(x, taps, states, choices)
    if not past.fits(out):
        return None
    if family_of(x) == "jax":
        return _in_jax(x, taps, states, choices)
    # x may be written over
    last_of_x = None if out is None else past.last_of_x()
    sections = run_sections((x, taps, past.memory()), choices, out)
    return sections.y, past.after(sections.ends, last_of_x)


def _in_jax(x: Array, taps: Array, states: Sequence[State], choices: Choices) -> tuple[Array, tuple[State, ...]]:
    """Return y and the states of JAX's arrays: what is done around the pass is compiled."""
    from .._jax.door import check_devices

    parts = [
        (f"state[{place}].{name}", part)
        for place, own in enumerate(states)
        for name, part in zip(State._fields, own, strict=True)
    ]
    names, arrays = zip(("x", x), ("the coefficients", taps), *parts, strict=True)
    check_devices(arrays, names)
    sections = run_sections((x, taps, _ready(_memory, x, choices)(x, taps, states)), choices)
    return sections.y, _ready(_after, x, choices, name_of(sections.y.dtype))(x, taps, states, sections.ends)


def _ready(function: Callable[..., Any], x: Array, *static: Any) -> Callable[..., Any]:
    """Return a function of arrays; where they are JAX's, one program."""
    if family_of(x) != "jax":
        return partial(function, *static)
    from .._jax.cascade import compiled

    return compiled(function, *static)


def _memory(choices: Choices, x: Array, taps: Array, states: Sequence[State]) -> Array | None:
    return _Past(x, taps, states, choices).memory()


def _after(
    choices: Choices, kept: str, x: Array, taps: Array, states: Sequence[State], ends: Array
) -> tuple[State, ...]:
    """Return the states after a block, as loops of JAX carry them: of one type, whichever way a block is computed."""
    first, *others = _Past(x, taps, states, choices).after(ends)
    return first, *(own._replace(inputs=cast_to(own.inputs, kept)) for own in others)


def in_types_of(x: Array, state: State) -> State:
    """Return a section's state for inputs of x's data type: in one pass they are kept in a wider one."""
    dtype, own = getattr(state.inputs, "dtype", x.dtype), name_of(x.dtype)
    if dtype == x.dtype or name_of(dtype) not in and_wider(own):
        return state
    return state._replace(inputs=cast_to(state.inputs, own))


def _is_section(taps: Taps) -> bool:
    feedback, feedforward = taps
    return feedback is not None and feedforward is not None and (feedback.shape[-1], feedforward.shape[-1]) == (2, 3)


def _is_one_sample(x: Array, choices: Choices) -> bool:
    """Whether sections one by one cost less than their states cost to be put together; states are the same then."""
    dtype = name_of(x.dtype)
    own = dtype not in HALF_DTYPES and choices.compute_dtype in (None, real_precision(dtype))
    return own and family_of(x) != "jax" and split_shape(tuple(x.shape), choices.layout)[2] == 1


def _spreads(x: Array, rows: list[Taps], choices: Choices) -> bool:
    """Whether sections of one filter come before those that one signal becomes several in: they have states of one."""
    channels = {part.shape[-2] for own in rows for part in own if part is not None}
    return len(channels) > 1 and split_shape(tuple(x.shape), choices.layout)[1] == 1


def _taps_of(banks: Sequence[RecurrenceBank], rows: list[Taps]) -> Array | None:
    """Return coefficients (…, C, S, 5); None where they cannot be put together."""
    parts = [part for own in rows for part in own if part is not None]
    if all(isinstance(part, np.ndarray) for part in parts):
        lead = np.broadcast_shapes(*(part.shape[:-1] for part in parts))
        taps = np.empty((*lead, len(rows), 5), np.result_type(*parts))
        for place, (feedback, feedforward) in enumerate(rows):
            taps[..., place, :3], taps[..., place, 3:] = feedforward, feedback
        return taps
    sos = _whole([bank._source for bank in banks])
    if sos is not None:
        whole = TransferFunction(sos[..., :3], sos[..., 3:]).taps()
        return concatenate((whole.feedforward, whole.feedback))
    shapes = {tuple(part.shape[:-1]) for part in parts}
    if len(shapes) > 1 or any(isinstance(part, np.ndarray) for part in parts):
        return None
    return _ready(_stacked, parts[0])(rows)


def _stacked(rows: list[Taps]) -> Array:
    return namespace(rows[0].feedback).stack([concatenate((b, a)) for a, b in rows], -2)


def _whole(sources: Sequence[Any]) -> Array | None:
    """Return the array of which sources are the sections, in order."""
    first = sources[0]
    if not isinstance(first, Section) or first.sos.shape[-2] != len(sources):
        return None
    if any(own.sos is not first.sos or own.place != index for index, own in enumerate(sources)):
        return None
    return first.sos if first.sos.ndim > 2 else first.sos[None]


class _Past:
    """The states of sections, as memory and as what is older than a short block."""

    def __init__(self, x: Array, taps: Array, states: Sequence[State], choices: Choices) -> None:
        self.choices, self.states = choices, states
        self.x, self.taps = to_channels_time(x, choices.layout), taps
        channels = self.x.shape[-2] if taps.shape[-3] == 1 else taps.shape[-3]
        self.full = (*self.x.shape[:-2], channels, 2)

    def fits(self, out: Array | None) -> bool:
        """Whether states are such as the sections have; where not, the sections themselves say what is wrong."""
        x = spec_of(self.x, "x")
        wide = and_wider(output_dtype(x, spec_of(self.taps, "taps")))
        shared, channels = self.x.shape[-2], self.full[-2]
        for place, state in enumerate(self.states):
            kinds = ((shared, and_wider(x.dtype)) if place == 0 else (channels, wide)), (channels, wide)
            for part, (own, dtypes) in zip(state, kinds, strict=True):
                if part is None:
                    continue
                if not _is_like(part, self.x) or not self._has_shape(part, own):
                    return False
                if name_of(part.dtype) not in dtypes or (out is not None and share(part, out)):
                    return False
        return True

    def _has_shape(self, part: Array, channels: int) -> bool:
        if part.ndim != self.x.ndim:
            return False
        *batch, own, count = to_channels_time(part, self.choices.layout).shape
        return (own, count) == (channels, 2) and all(map(_serves, batch, self.full))

    @cached_property
    def inputs(self) -> Array | None:
        """The past inputs of all sections (batch…, C, S, 2); None where they are zeros."""
        return self._stacked([state.inputs for state in self.states])

    @cached_property
    def outputs(self) -> Array | None:
        """The past outputs of all sections, as `inputs`."""
        return self._stacked([state.outputs for state in self.states])

    def _stacked(self, parts: list[Array | None]) -> Array | None:
        if all(part is None for part in parts):
            return None
        return namespace(self.x).stack([self._whole(part, self.full) for part in parts], -2)

    def _whole(self, part: Array | None, shape: tuple[int, ...]) -> Array:
        """Return past samples of the whole batch."""
        if part is None:
            return zeros(self.x, shape)
        part = to_channels_time(part, self.choices.layout)
        return part if part.shape == shape else namespace(part).broadcast_to(part, shape)

    def memory(self) -> Array | None:
        """Return the memory (batch…, C, S, 2) that the states leave; None where they are zeros."""
        memory, real = None, self.choices.compute_dtype or real_precision(name_of(self.x.dtype))
        for past, columns in ((self.inputs, slice(1, 3)), (self.outputs, slice(3, 5))):
            if past is None:
                continue
            taps = self._own_taps()[..., columns]
            past = cast_to(past, in_precision(name_of(past.dtype), real))
            late, early = (past[..., :1], past[..., 1:]) if self.choices.reverse else (past[..., 1:], past[..., :1])
            given = concatenate((taps[..., :1] * late + taps[..., 1:] * early, taps[..., 1:] * late))
            memory = given if memory is None else memory + given
        return memory

    def last_of_x(self) -> Array:
        """Return the last two samples of x."""
        first = self.states[0].inputs
        past = None if first is None else self._whole(first, (*self.x.shape[:-1], 2))
        return tail(self.x, past, 2, self.choices.layout, self.choices.reverse)

    def after(self, ends: Array, last_of_x: Array | None = None) -> tuple[State, ...]:
        """Return the states after the block; the last samples of x may have been found before."""
        first = self.last_of_x() if last_of_x is None else last_of_x
        inputs = outputs = ends
        if self.x.shape[-1] < 2:
            older = None if self.inputs is None else self.inputs[..., 1:, :]
            inputs, outputs = self._with_older(ends[..., :-1, :], older), self._with_older(ends, self.outputs)
        places = range(len(self.states))
        pairs = [(inputs[..., place - 1, :] if place else first, outputs[..., place, :]) for place in places]
        return tuple(State(*(from_channels_time(part, self.choices.layout) for part in pair)) for pair in pairs)

    def _with_older(self, ends: Array, past: Array | None) -> Array:
        """Return the last two samples of past and block, where the block has fewer."""
        length, reverse = self.x.shape[-1], self.choices.reverse
        past = zeros(ends, ends.shape) if past is None else cast_to(past, name_of(ends.dtype))
        if reverse:
            return concatenate((ends[..., :length], past[..., : 2 - length]))
        return concatenate((past[..., length:], ends[..., 2 - length :]))

    def _own_taps(self) -> Array:
        if family_of(self.taps) == family_of(self.x):
            return self.taps
        library = namespace(self.x)
        if family_of(self.x) == "jax":
            return library.asarray(self.taps)
        return library.as_tensor(self.taps, device=self.x.device)


def _is_like(part: Array, x: Array) -> bool:
    """Whether a part of a state is an array of x's library; one of JAX may be traced where the other is not."""
    return namespace(part) is namespace(x) if family_of(x) == "jax" else type(part).__module__ == type(x).__module__


def _serves(size: int, whole: int) -> bool:
    return size in (1, whole)
