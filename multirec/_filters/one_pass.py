"""A cascade in one pass: its sections' coefficients and states put together, and states made of what comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .._core.arrays import family_of, is_double, name_of
from .._core.axes import cast_to, concatenate, from_channels_time, namespace, tail, to_channels_time, zeros
from .._core.problem import in_precision, real_precision
from .._core.state import State
from .._core.validate import Choices
from .._sections import has_one_pass, run_sections
from .design import Section, Taps, TransferFunction

if TYPE_CHECKING:
    from .bank import RecurrenceBank

__all__ = ["in_one_pass", "in_types_of"]

Array: TypeAlias = Any


def in_one_pass(
    banks: Sequence[RecurrenceBank], x: Array, states: Sequence[State | None], out: Array | None
) -> tuple[Array, tuple[State, ...]] | None:
    """Return y and the states of sections in one pass; None where no kernel does that, or something does not fit."""
    choices = banks[0]._choices
    if family_of(x) not in ("numpy", "torch", "jax") or x.ndim < 2 or any(bank._choices != choices for bank in banks):
        return None
    rows, precision = [bank._source.taps() for bank in banks], choices.compute_dtype
    if not all(map(_is_section, rows)):
        return None
    if precision is None and not is_double(x):
        found = [bank._judgement.settle(x, own, bank._source) for bank, own in zip(banks, rows, strict=True)]
        rows, precisions = [own for own, _ in found], {own for _, own in found}
        precision = "float64" if "float64" in precisions else max(precisions, key=bool)
    taps = _taps_of(banks, rows)
    choices = choices._replace(compute_dtype=precision)
    if taps is None or not has_one_pass((x, taps, None), choices):
        return None
    if not _Past(x, taps, states, choices).fits():
        return None
    in_jax = family_of(x) == "jax"
    if in_jax:
        _check_devices(x, taps, states)
    sections = run_sections((x, taps, _ready(_memory, x, choices)(x, taps, states)), choices, out)
    # what JAX's loops carry keeps its types, whichever way a block is computed
    kept = name_of((sections.y if in_jax else sections.ends).dtype)
    return sections.y, _ready(_after, x, choices, kept)(x, taps, states, sections.ends)


def _check_devices(x: Array, taps: Array, states: Sequence[State | None]) -> None:
    from .._jax.door import check_devices

    parts = [
        (f"state[{place}].{name}", part)
        for place, own in enumerate(states)
        if own is not None
        for name, part in zip(State._fields, own, strict=True)
    ]
    names, arrays = zip(("x", x), ("the coefficients", taps), *parts, strict=True)
    check_devices(arrays, names)


def _ready(function: Callable[..., Any], x: Array, *static: Any) -> Callable[..., Any]:
    """Return a function of arrays; where they are JAX's, one program."""
    if family_of(x) != "jax":
        return partial(function, *static)
    from .._jax.cascade import compiled

    return compiled(function, *static)


def _memory(choices: Choices, x: Array, taps: Array, states: Sequence[State | None]) -> Array | None:
    return _Past(x, taps, states, choices).memory()


def _after(
    choices: Choices, kept: str, x: Array, taps: Array, states: Sequence[State | None], ends: Array
) -> tuple[State, ...]:
    return _Past(x, taps, states, choices).after(ends, kept)


def in_types_of(x: Array, state: State | None) -> State | None:
    """Return a section's state for inputs of x's data type: in one pass they are kept in a wider one."""
    if state is None or state.inputs is None or state.inputs.dtype == x.dtype:
        return state
    return state._replace(inputs=cast_to(state.inputs, name_of(x.dtype)))


def _is_section(taps: Taps) -> bool:
    feedback, feedforward = taps
    return feedback is not None and feedforward is not None and (feedback.shape[-1], feedforward.shape[-1]) == (2, 3)


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

    def __init__(self, x: Array, taps: Array, states: Sequence[State | None], choices: Choices) -> None:
        self.choices, self.states = choices, [State() if state is None else state for state in states]
        self.x, self.taps = to_channels_time(x, choices.layout), taps
        channels = self.x.shape[-2] if taps.shape[-3] == 1 else taps.shape[-3]
        self.full = (*self.x.shape[:-2], channels, 2)

    def fits(self) -> bool:
        """Whether states have the shapes of the sections'; where not, the sections themselves say what is wrong."""
        for place, state in enumerate(self.states):
            if not isinstance(state, tuple) or len(state) != 2:
                return False
            shared = place == 0 and self.x.shape[-2] == 1
            for part, channels in zip(state, (1 if shared else self.full[-2], self.full[-2]), strict=True):
                if part is None:
                    continue
                if not _is_like(part, self.x) or part.ndim != self.x.ndim:
                    return False
                *batch, own, count = to_channels_time(part, self.choices.layout).shape
                pairs = zip(batch, self.full[:-2], strict=True)
                if (own, count) != (channels, 2) or any(size not in (1, whole) for size, whole in pairs):
                    return False
        return True

    def memory(self) -> Array | None:
        """Return the memory (batch…, C, S, 2) that the states leave; None where they are zeros."""
        memory, real = None, self.choices.compute_dtype or real_precision(name_of(self.x.dtype))
        for which, columns in ((0, slice(1, 3)), (1, slice(3, 5))):
            if all(state[which] is None for state in self.states):
                continue
            taps = self._own_taps()[..., columns]
            past = namespace(self.x).stack([self._past(state[which]) for state in self.states], -2)
            past = cast_to(past, in_precision(name_of(past.dtype), real))
            late, early = (past[..., :1], past[..., 1:]) if self.choices.reverse else (past[..., 1:], past[..., :1])
            given = concatenate((taps[..., :1] * late + taps[..., 1:] * early, taps[..., 1:] * late))
            memory = given if memory is None else memory + given
        return memory

    def after(self, ends: Array, kept: str) -> tuple[State, ...]:
        """Return the states after the block; what came out of one section and went into another in the type `kept`."""
        layout, reverse = self.choices.layout, self.choices.reverse
        length = self.x.shape[-1]
        first = self.states[0].inputs
        inputs = tail(self.x, None if first is None else self._past(first, self.x.shape[-2]), 2, layout, reverse)
        after = []
        for place, state in enumerate(self.states):
            outputs = self._last(ends[..., place, :], state.outputs, length)
            after.append(State(*(from_channels_time(part, layout) for part in (inputs, outputs))))
            if place + 1 < len(self.states):
                following = self.states[place + 1].inputs
                inputs = outputs if length > 1 else self._last(ends[..., place, :], following, length)
                inputs = cast_to(inputs, kept)
        return tuple(after)

    def _last(self, ends: Array, past: Array | None, length: int) -> Array:
        if length > 1:
            return ends
        reverse = self.choices.reverse
        own = ends[..., :length] if reverse else ends[..., 2 - length :]
        older = None if past is None else cast_to(self._past(past), name_of(ends.dtype))
        return tail(own, older, 2, self.choices.layout, reverse)

    def _past(self, part: Array | None, channels: int | None = None) -> Array:
        """Return past samples (batch…, C, 2) of the whole batch."""
        shape = self.full if channels is None else (*self.full[:-2], channels, 2)
        if part is None:
            return zeros(self.x, shape)
        return namespace(part).broadcast_to(to_channels_time(part, self.choices.layout), shape)

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
