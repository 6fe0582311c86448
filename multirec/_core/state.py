"""What a recurrence remembers between calls."""

from __future__ import annotations

from typing import Any, NamedTuple

from .problem import Problem, join_shape


class State(NamedTuple):
    """The last inputs and the last outputs of a block, ascending in time, in the block's layout.

    A part may have 1 where x has its batch axes: it then serves all examples, and its gradient is their sum.

    Attributes
    ----------
    inputs
        The last q = (feedforward taps - 1) inputs: x's shape and dtype with a time axis of q. None is zeros.
    outputs
        The last p = (feedback taps) outputs: y's shape with a time axis of p, in the precision they were computed in,
        which is float32 for half types, float64 with ``compute_dtype="float64"``, and else y's. Any precision from y's
        to float64 is taken. None is zeros.

    Example
    -------
    >>> import numpy as np, multirec as mr
    >>> x, a = np.ones((1, 4)), np.array([[0.5]])
    >>> whole, _ = mr.recurrence(x, feedback=a, backend="reference")
    >>> first, state = mr.recurrence(x[:, :3], feedback=a, backend="reference")
    >>> rest, _ = mr.recurrence(x[:, 3:], feedback=a, state=state, backend="reference")
    >>> bool(np.all(np.concatenate([first, rest], axis=-1) == whole))
    True
    """

    inputs: Any = None
    outputs: Any = None

    def detach(self) -> State:
        """Return the state cut from the autograd graph, for truncated backpropagation through time."""
        return State(*(part.detach() if hasattr(part, "detach") else part for part in self))


def state_kinds(problem: Problem, batch_shape: tuple[int, ...]) -> tuple[tuple[tuple[int, ...], str], ...]:
    """Return the shapes and data types of a returned state's inputs and outputs, with the caller's batch axes."""
    parts = (
        (problem.x_channels, problem.input_order, problem.dtype),
        (problem.channels, problem.order, problem.state_dtype),
    )
    return tuple((join_shape(batch_shape, channels, count, problem.layout), dtype) for channels, count, dtype in parts)
