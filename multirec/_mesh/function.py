"""One recurrence over the ranks of a group, and its gradient: one exchange each.

Forward, each rank summarizes its samples, ranks exchange summaries, and each runs its samples from the state that
follows. Backward is the same the other way round: what each rank's samples give to the state before them travels, and
each rank computes its gradients once, given that of the state after its samples.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .._core.arrays import name_of
from .._core.axes import from_channels_time, to_channels_time
from .._core.problem import real_precision
from .._core.state import State
from .._core.validate import Call, Choices
from .._summaries import summarize
from .._summaries.block import Block
from .._torch.eager import is_batched
from ..backend import Needs
from ..errors import UnsupportedError
from .fold import Maps, Past
from .group import Group
from .head import Head, head_of
from .local import Local
from .wire import exchange

__all__ = ["Sharded", "apply", "is_passed_on"]

Arrays: TypeAlias = tuple[Any, ...]


class Sharded(NamedTuple):
    """What a call is besides its tensors.

    Attributes
    ----------
    choices
        With nothing left open.
    varies
        Whether coefficients are cut along time as x is; None where this rank cannot tell, with its one sample. They are
        if no rank can.
    sums
        Whether gradients of what every rank holds are added up over the ranks.
    is_replicated
        Whether the gradient of the returned state is one that every rank has, instead of a part of it.
    passed
        Whether parts of the state come from an earlier call, whose gradient is added up there.
    """

    group: Group
    call: Call
    choices: Choices
    resets: Tensor | None
    varies: tuple[bool | None, bool | None]
    sums: bool
    is_replicated: bool
    passed: tuple[bool, bool]

    @property
    def order(self) -> tuple[int, ...]:
        """The ranks as the recurrence runs over them."""
        ranks = range(self.group.size)
        return tuple(reversed(ranks) if self.choices.reverse else ranks)


def apply(own: Sharded, tensors: Arrays) -> tuple[Tensor, State]:
    """Return this rank's y, and the state after the samples of all."""
    y, *state = _Sharded.apply(own, *tensors)  # type: ignore[no-untyped-call]
    return y, State(*state)


def is_passed_on(part: Tensor | None, group: Group) -> bool:
    """Whether a part of a state is made of what an earlier call over these ranks returned, and of nothing else."""
    node = None if part is None else part.grad_fn
    while node is not None:
        own = getattr(node, "own", None)
        if isinstance(own, Sharded):
            return bool(own.group.handle == group.handle) and not own.is_replicated
        before = [found for found, _ in node.next_functions if found is not None]
        node = before[0] if len(before) == 1 else None
    return False


class _Sharded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Sharded, *tensors: Any) -> tuple[Tensor, Tensor, Tensor]:
        x, b, a, *state = tensors
        maps, ends, static = _exchanged(own, x, b, a)
        before = _past(state, own, ends)
        states = maps.states(before, ends)
        start, final = (_state(states[place], own) for place in (own.order.index(own.group.rank), -1))
        local = Local((x, b, a, *start), own.resets, own.choices)
        y, _ = local.run((x, b, a, *start))
        # x and y are for the gradients of coefficients: without those the caller may drop or change them
        _, _, of_feedforward, of_feedback, *_ = ctx.needs_input_grad
        # without samples its gradient has x's shape, and no formula
        reads_x = of_feedforward or local.reads_x or not own.call.problem.length
        ctx.save_for_backward(x if reads_x else None, b, a, *start, y if of_feedback else None, *maps[:3], static)
        ctx.own, ctx.local, ctx.head = own, local, None
        if any(ctx.needs_input_grad) and not local.reads_x:
            block = Block(x, b, a, own.resets, own.choices.layout, own.choices.reverse, own.call.problem.length)
            ctx.head = head_of(block, maps.transition[own.group.rank], start, own.choices)
        ctx.like = [None if part is None else (part.shape, part.dtype) for part in state]
        ctx.set_materialize_grads(False)
        return y, *final

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Any) -> Any:
        if True in [grad is not None and is_batched(grad) for grad in grads]:
            raise UnsupportedError(
                "several gradients at once, as is_grads_batched has them, would be several exchanges. Take one at a "
                "time."
            )
        own, local = ctx.own, ctx.local
        *arrays, y, transition, moved, cut, static = ctx.saved_tensors
        maps = Maps(transition, moved, cut, own.order, own.choices.reverse)
        of_x, of_b, of_a, *of_state = ctx.needs_input_grad[1:]
        after, parts = _exchanged_back(own, ctx.head or local, tuple(arrays), grads)
        states = maps.gradients(after, parts)
        place = own.order.index(own.group.rank)
        given = grads[0], *_state(states[place + 1], own)
        found = _own_gradients(own, local, (*arrays, y), given, (of_x, of_b, of_a))
        held = [need and _is_held(n, own, static) for n, need in enumerate((of_b, of_a))]
        if own.sums:
            _add_up(
                own.group, [grad for grad, is_held in zip(found[1:], held, strict=True) if grad is not None and is_held]
            )
        to_state = _to_state(states[0], own, ctx.like)
        if place:
            # the first rank has all of what is to be a part on each
            parts_only = [is_passed or not own.sums for is_passed in own.passed]
            to_state = [
                torch.zeros_like(part) if part is not None and is_part else part
                for part, is_part in zip(to_state, parts_only, strict=True)
            ]
        return None, *found, *(part if need else None for part, need in zip(to_state, of_state, strict=True))


def _exchanged(own: Sharded, x: Tensor, b: Tensor | None, a: Tensor | None) -> tuple[Maps, Past, Tensor]:
    """Return what each rank's samples do to a state, and of which coefficients it can tell that they do not vary."""
    layout, reverse, backend, compute_dtype = own.choices
    summary = summarize(
        x,
        feedforward=b,
        feedback=a,
        layout=layout,
        reverse=reverse,
        backend=backend,
        compute_dtype=compute_dtype,
        resets=own.resets,
    )
    inputs, outputs = (to_channels_time(part, layout) for part in summary.end)
    static = torch.tensor([part is False for part in own.varies], device=x.device)
    cut = () if summary.cut is None else (summary.cut,)
    transition = summary.transition
    if any(part is not None and part.is_complex() for part in (b, a)):
        # on all ranks, however short their blocks
        transition = transition.to(transition.dtype.to_complex())
    parts = [inputs, outputs, transition, summary.moved, static, *cut]
    inputs, outputs, transition, moved, static, *cuts = exchange(own.group, parts)
    maps = Maps(transition, moved, cuts[0] if cuts else None, own.order, reverse)
    return maps, Past(_wide(inputs, own), outputs), static


def _exchanged_back(own: Sharded, local: Local | Head, arrays: Arrays, grads: Arrays) -> tuple[Past, Past]:
    """Return the gradient of the state after all samples, and what each rank's samples give to that before them."""
    grad_y, *grad_state = grads
    start = arrays[3:]
    problem, layout = own.call.problem, own.choices.layout
    found: Arrays
    if grad_y is None or not problem.length:
        found = None, None
    elif isinstance(local, Head):
        found = local.vjp(arrays[1], arrays[2], start, grad_y)[3:]
    else:
        needs = Needs(False, False, False, bool(problem.input_order), bool(problem.order))
        found = local.vjp(arrays, None, (grad_y, None, None), needs)[3:]
    parts = []
    for grad, like in zip((*found, *grad_state), (*start, *start), strict=True):
        grad = like.new_zeros(like.shape) if grad is None else grad
        parts.append(to_channels_time(grad, layout))
    inputs, outputs, to_inputs, to_outputs = exchange(own.group, parts)
    after = [part[own.group.rank] if own.is_replicated else _wide(part, own).sum(0) for part in (to_inputs, to_outputs)]
    return Past(_wide(after[0], own), after[1]), Past(_wide(inputs, own), outputs)


def _own_gradients(
    own: Sharded, local: Local, saved: Arrays, given: Arrays, wanted: tuple[bool, bool, bool]
) -> list[Tensor | None]:
    """Return the gradients of x and coefficients from this rank's samples."""
    *arrays, y = saved
    if not any(wanted):
        return [None, None, None]
    if not own.call.problem.length:
        return [
            None if part is None or not need else torch.zeros_like(part)
            for part, need in zip(arrays[:3], wanted, strict=True)
        ]
    return list(local.vjp(tuple(arrays), y, given, Needs(*wanted, False, False))[:3])


def _is_held(n: int, own: Sharded, static: Tensor) -> bool:
    """Whether every rank holds the same of these coefficients; read from the others only where nothing else says it."""
    known = own.varies[n]
    return bool(static[:, n].any()) if known is None else not known


def _add_up(group: Group, grads: list[Tensor]) -> None:
    """Add up gradients over the ranks, in place and in one message."""
    if not grads:
        return
    reals = [torch.view_as_real(grad) if grad.is_complex() else grad for grad in grads]
    precision = max(real_precision(name_of(part.dtype)) for part in reals)
    flat = torch.cat([part.reshape(-1).to(getattr(torch, precision)) for part in reals])
    group.add_up(flat)
    for part, found in zip(reals, torch.split(flat, [part.numel() for part in reals]), strict=True):
        part.copy_(found.view(part.shape))


def _wide(inputs: Tensor, own: Sharded) -> Tensor:
    """Return past inputs, or their gradient, in the precision that is computed in."""
    if inputs.is_complex():
        return inputs.to(getattr(torch, own.call.problem.state_dtype))
    return inputs.to(getattr(torch, own.call.problem.compute_dtype))


def _past(state: list[Tensor | None], own: Sharded, ends: Past) -> Past:
    """Return the state that was given, for every example."""
    parts = []
    for part, like in zip(state, ends, strict=True):
        if part is None:
            parts.append(like.new_zeros(like.shape[1:]))
        else:
            parts.append(to_channels_time(part, own.choices.layout).to(like.dtype).expand(like.shape[1:]))
    return Past(*parts)


def _state(past: Past, own: Sharded) -> tuple[Tensor, Tensor]:
    """Return a state, or its gradient, as the caller has it."""
    problem, layout = own.call.problem, own.choices.layout
    parts = []
    for part, name in zip(past, (problem.dtype, problem.state_dtype), strict=True):
        dtype = getattr(torch, name)
        part = part.real if part.is_complex() and not dtype.is_complex else part
        parts.append(from_channels_time(part.to(dtype), layout).contiguous())
    return parts[0], parts[1]


def _to_state(grad: Past, own: Sharded, like: list[Any]) -> list[Tensor | None]:
    """Return the gradient of the state that was given, in its shape and type."""
    parts = _state(grad, own)
    return [
        None if kind is None else part.sum_to_size(kind[0]).to(kind[1]) for part, kind in zip(parts, like, strict=True)
    ]
