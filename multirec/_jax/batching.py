"""`jax.vmap` of our primitives: the mapped axis is folded into the batch axis, and unfolded from the results.

That is done in the caller's layout, where the two lie side by side, since XLA copies what is moved around a reshape.
Sequences that have a state each are in a batch of one, so there each element of the axis is a call of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import compress
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax.interpreters import batching

from .._core.axes import from_channels_time, to_channels_time
from .._core.problem import Layout, join_shape
from .._core.validate import Choices
from . import marked
from .buffers import Kind
from .primitives import CASCADE, RECURRENCE, SEQUENCES, Form, Operation

__all__: list[str] = []

Array: TypeAlias = Any
Rule: TypeAlias = Callable[..., Any]


class _Fold:
    """Folds a mapped axis into the batch axis; coefficients that no example changes stay single."""

    def __init__(self, parts: Sequence[Any], axes: Sequence[Any], layout: Layout) -> None:
        pairs = [(part.shape[axis], part) for part, axis in zip(parts, axes, strict=True) if axis is not None]
        self.size, self._layout = pairs[0][0], layout
        self.mapped = [axis is not None for axis in axes]
        self.parts = [
            part if axis is None else jnp.moveaxis(part, axis, 0) for part, axis in zip(parts, axes, strict=True)
        ]
        self.batch = self.parts[0].shape[1 if self.mapped[0] else 0]

    def fold(self, index: int, single: bool = False) -> Array:
        """Return argument `index` with the axis folded, or as it is if it may stay `single`."""
        part, mapped = self.parts[index], self.mapped[index]
        if single:
            return part
        part = part if mapped else part[None]
        whole = jnp.broadcast_to(part, (self.size, self.batch, *part.shape[2:]))
        return self._with_batch(whole, 2, (self.size * self.batch,))

    def unfold(self, result: Array) -> Array:
        # -1 would have no answer where an axis is empty
        return self._with_batch(result, 1, (self.size, self.batch))

    def _with_batch(self, array: Array, count: int, batch: tuple[int, ...]) -> Array:
        """Return an array with other batch axes in place of the first `count`."""
        shape = array.shape[count:]
        if len(shape) < 2:
            return array.reshape(*batch, *shape)
        channels, time, *rest = shape
        stored = from_channels_time(array, self._layout, len(rest))
        stored = stored.reshape(*join_shape(batch, channels, time, self._layout), *rest)
        return to_channels_time(stored, self._layout, len(rest))

    def unfold_all(self, results: Sequence[Array]) -> tuple[list[Array], list[int]]:
        """Return the results with their mapped axes, and where those are."""
        return [self.unfold(result) for result in results], [0] * len(results)

    def is_single(self, index: int, is_taps: bool) -> bool:
        """Whether an argument is coefficients of one batch element that no example changes."""
        return is_taps and not self.mapped[index] and self.parts[index].shape[0] == 1


def _map_run(operation: Operation, parts: Any, axes: Any, *, form: Form, choices: Choices) -> Any:
    fold = _Fold(parts, axes, choices.layout)
    is_taps = list(compress(operation.is_taps, form.given))
    folded = [fold.fold(i, fold.is_single(i, taps)) for i, taps in enumerate(is_taps)]
    return fold.unfold_all(operation.run.bind(*folded, form=form, choices=choices))


def _map_push(operation: Operation, parts: Any, axes: Any, *, form: Form, choices: Choices) -> Any:
    fold, fixed, roles = _Fold(parts, axes, choices.layout), operation.fixed(form), range(len(form.given))
    places = dict(zip(compress(roles, form.given), range(form.size), strict=True))
    moves = dict(zip(compress(roles, form.moved), range(fixed, len(parts)), strict=True))
    single = [False] * len(parts)
    for role, place in places.items():
        # coefficients and their move keep one shape, so that the transpose has it too
        both = [place, *([moves[role]] if role in moves else [])]
        for index in both:
            single[index] = all(fold.is_single(other, operation.is_taps[role]) for other in both)
    folded = [fold.fold(index, alone) for index, alone in enumerate(single)]
    return fold.unfold_all(operation.push.bind(*folded, form=form, choices=choices))


def _map_pull(operation: Operation, parts: Any, axes: Any, *, form: Form, choices: Choices) -> Any:
    fold = _Fold(parts, axes, choices.layout)
    places = list(compress(range(len(form.given)), form.given))
    # every element of the mapped axis has its own gradient, so coefficients that want one are repeated
    single = [fold.is_single(i, operation.is_taps[role]) and not form.moved[role] for i, role in enumerate(places)]
    signals = [False] * (len(parts) - form.size)
    folded = [fold.fold(index, alone) for index, alone in enumerate([*single, *signals])]
    grads = [fold.unfold(grad) for grad in operation.pull.bind(*folded, form=form, choices=choices)]
    wanted = [i for i, role in enumerate(places) if form.moved[role]]
    own_batch = [fold.parts[i].shape[1 if fold.mapped[i] else 0] for i in wanted]
    summed = [
        grad if own == fold.batch else grad.sum(1, keepdims=True) for grad, own in zip(grads, own_batch, strict=True)
    ]
    return summed, [0] * len(summed)


def _map_sequences(
    folded: Rule, primitive: Any, function: Rule, parts: Any, axes: Any, *, form: Form, choices: Choices
) -> Any:
    if form.states is None:
        return folded(SEQUENCES, parts, axes, form=form, choices=choices)
    own = [
        Kind((*part.shape[:axis], *part.shape[axis + 1 :]) if axis is not None else part.shape, str(part.dtype))
        for part, axis in zip(parts, axes, strict=True)
    ]
    if not marked.fuses(marked.plan_of(own, form, choices), form.states):
        results = jax.vmap(partial(function, form=form, choices=choices), axes)(*parts)
        return results, [0] * len(results)

    def one(mapped: list[Array]) -> list[Array]:
        rest = iter(mapped)
        every = (part if axis is None else next(rest) for part, axis in zip(parts, axes, strict=True))
        return list(primitive.bind(*every, form=form, choices=choices))

    results = jax.lax.map(
        one, [jnp.moveaxis(part, axis, 0) for part, axis in zip(parts, axes, strict=True) if axis is not None]
    )
    return results, [0] * len(results)


_RULES: tuple[Rule, ...] = _map_run, _map_push, _map_pull

for _operation in (RECURRENCE, CASCADE):
    for _primitive, _rule in zip(_operation[:3], _RULES, strict=True):
        batching.primitive_batchers[_primitive] = partial(_rule, _operation)

for _primitive, _rule, _function in zip(SEQUENCES[:3], _RULES, (marked.run, marked.push, marked.pull), strict=True):
    batching.primitive_batchers[_primitive] = partial(_map_sequences, _rule, _primitive, _function)
