"""`multirec.distributed.recurrence` for torch: validated, agreed on, and computed over the ranks."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

from .._core.axes import contiguous, explicit
from .._core.problem import Layout, split_shape
from .._core.state import State
from .._core.validate import Call, Choices
from .._engine.call import call_of
from .._recurrence import run
from .._sequences.bind import settled_bound
from .._sequences.marks import Marks
from .._torch.door import is_dtensor
from ..errors import UnsupportedError
from .agree import agreed
from .function import Sharded, apply, is_passed_on
from .group import Group, group_of

__all__ = ["recurrence"]

Array: TypeAlias = Any
Arrays: TypeAlias = tuple[Any, ...]


def recurrence(
    arrays: Arrays,
    choices: Choices,
    resets: Array | None,
    mesh: Any,
    mesh_dim: str | int | None,
    *,
    check: bool,
    sum_gradients: bool,
) -> tuple[Tensor, State]:
    """Return this rank's y and the state after the samples of all, of tensors or of DTensors."""
    x = arrays[0]
    _check_mode(x)
    if not is_dtensor(x):
        return _sharded(arrays, choices, resets, group_of(mesh, mesh_dim, x), check, sum_gradients)
    from .dtensor import placed_of

    placed, whole = placed_of(x, mesh, mesh_dim, choices.layout), arrays
    arrays, resets = placed.local(arrays, resets, sum_gradients)
    if placed.time is None:
        return placed.whole(*run(arrays, choices, None, None if resets is None else Marks(resets)))
    group = group_of(placed.mesh, placed.time, arrays[0])
    return placed.whole(*_sharded(arrays, choices, resets, group, check, sum_gradients, whole))


def _sharded(
    arrays: Arrays,
    choices: Choices,
    resets: Array | None,
    group: Group,
    check: bool,
    sum_gradients: bool,
    whole: Arrays | None = None,
) -> tuple[Tensor, State]:
    """Return y and the state of tensors that are this rank's, over the ranks of a group; DTensors say what is whole."""
    if group.size == 1:
        return run(arrays, choices, None, None if resets is None else Marks(resets))
    x, *taps, inputs, outputs = (_tensor(part, arrays[0]) for part in arrays)
    resets = None if resets is None else _own(resets, x)
    tensors = x, *taps, inputs, outputs
    varies: tuple[bool | None, ...] = None, None
    is_sound = x.ndim > 1 and all(part is None or isinstance(part, Tensor) for part in tensors)
    if is_sound:
        known = [whole if whole is not None and is_dtensor(whole[n]) else tensors for n in (1, 2)]
        varies = tuple(_varies(of[n], of[0], choices.layout) for n, of in enumerate(known, 1))
        # lengths differ, and no shape of theirs may look like that of coefficients
        tensors = x, *(explicit(part, x, choices.layout) for part in taps), inputs, outputs

    def find() -> Call:
        return _call(tensors, resets, choices)

    call = agreed(group, tensors if is_sound else None, resets, choices, varies, find) if check else find()
    choices = choices._replace(compute_dtype=call.problem.compute_dtype)
    passed = is_passed_on(inputs, group), is_passed_on(outputs, group)
    own = Sharded(group, call, choices, resets, (varies[0], varies[1]), sum_gradients, whole is not None, passed)
    return apply(own, tensors)


def _call(tensors: Arrays, resets: Tensor | None, choices: Choices) -> Call:
    return call_of(tensors, choices) if resets is None else settled_bound(tensors, Marks(resets), choices).states


def _tensor(part: Any, x: Tensor) -> Any:
    """Return NumPy's array as a tensor; copied, since backward reads it and could not know that it changed."""
    return torch.tensor(part, device=x.device) if isinstance(part, np.ndarray) else part


def _own(resets: Any, x: Tensor) -> Any:
    return contiguous(resets) if isinstance(resets, Tensor) else _tensor(resets, x)


def _varies(taps: Array | None, x: Tensor, layout: Layout) -> bool | None:
    """Whether coefficients have an axis of time that is cut as x is; None where there is but one sample to see."""
    if taps is None or taps.ndim <= x.ndim:
        return False
    *_, samples = split_shape(tuple(taps.shape[:-1]), layout)
    if samples != 1:
        return True
    return None if split_shape(tuple(x.shape), layout)[2] == 1 else False


def _check_mode(x: Tensor) -> None:
    if torch.compiler.is_compiling() or x.is_meta:
        raise UnsupportedError(
            "distributed.recurrence exchanges values between processes, which torch.compile, torch.export and device "
            "meta do not trace. Call it outside of the compiled function, for example by torch.compiler.disable."
        )
    if forward_ad._current_level >= 0 or torch._C._functorch.peek_interpreter_stack() is not None:
        raise UnsupportedError(
            "distributed.recurrence has gradients alone: forward-mode derivatives and the transforms of torch.func do "
            "not pass through its exchange. Drive multirec.distributed.summarize, compose and replay, which have both."
        )
