"""The affine map of a block, and how it is a tree of arrays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from .._core.problem import Layout
from .._core.state import State
from .._core.trees import TREES, Tree
from .affine import after

__all__ = ["Summary"]

Array: TypeAlias = Any


@dataclass(frozen=True, eq=False, slots=True)
class Summary:
    """What a block does to the state before it: all that later blocks need to know of it.

    A state of q past inputs and p past outputs comes out as ``after(state)`` has it: past inputs move on, past outputs
    are `transition` times (inputs, outputs), and `end` is added to both. For JAX, a summary is a pytree of its arrays.

    Attributes
    ----------
    end
        The state after the block, from zeros, as `multirec.recurrence` returns it.
    transition
        ``(batch…|1…, C|1, p, q + p)``, whatever the layout: what each past input and each past output gives to each
        output of the state after the block, all ascending in time as states have them. Its batch axes are those of the
        coefficients, so that static ones have one transition for all examples. In the precision that is computed in,
        complex if a coefficient is.
    moved
        An integer array (): by how many samples past inputs move on, which is the length of the block, at most q.
    cut
        (batch…), booleans: True where a reset lies in the block, so that nothing of the state before comes through.
        None without resets.
    layout, reverse
        Of the block, and of the states before and after it.
    """

    end: State
    transition: Array
    moved: Array
    cut: Array | None
    layout: Layout
    reverse: bool

    def after(self, state: State | tuple[Array | None, Array | None] | None) -> State:
        """Return the state after the block, given the one before it: to rounding what `recurrence` returns.

        Parameters
        ----------
        state
            As `multirec.recurrence` takes it.

        Raises
        ------
        MultirecError
            The state does not fit the block.

        Example
        -------
        >>> import numpy as np
        >>> from multirec.distributed import summarize
        >>> block = summarize(np.ones((1, 3)), feedback=np.array([[0.5]]))
        >>> block.after((None, np.array([[8.0]]))).outputs
        array([[2.75]])
        """
        return after(self, state)


def _apart(summary: Summary) -> tuple[list[tuple[str | int, Any]], Any]:
    leaves = [(name, getattr(summary, name)) for name in ("end", "transition", "moved", "cut")]
    return list(leaves), (summary.layout, summary.reverse)


def _of(structure: Any, leaves: Iterable[Any]) -> Summary:
    return Summary(*leaves, *structure)


TREES.append(Tree(Summary, _apart, _of))
