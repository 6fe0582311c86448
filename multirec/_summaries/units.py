"""What past samples give to the state after a block: unit states, each run through silence by the recurrence itself.

Powers of a companion matrix would lose far more than these runs where poles are near the unit circle.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from .._core.arrays import name_of
from .._core.axes import from_channels_time, namespace, to_channels_time, zeros
from .._core.problem import COMPLEX_DTYPES, ComputeDtype, in_precision, join_shape
from .._core.state import State
from .._core.validate import Choices
from .block import Block
from .passage import Passage

__all__ = ["Units"]

Array: TypeAlias = Any


class Units:
    """One state for each past input and past output, 1 there and 0 elsewhere, on their way through a block.

    Static coefficients run all of them side by side; others run them one after the other, over the same coefficients.
    """

    def __init__(self, block: Block, precision: ComputeDtype, choices: Choices) -> None:
        self._precision, self._static = precision, block.is_static
        self._batch, self._channels = block.coefficient_axes
        self._count = sum(block.orders)
        self._passages = [Passage(state, choices) for state in self._states(block)]

    def run(self, block: Block) -> None:
        """Run over the next block's coefficients."""
        batch = (self._count,) if self._static else self._batch
        silence = zeros(block.x, join_shape(batch, 1, block.length, block.layout), self._precision)
        silent = block._replace(x=silence, resets=None)
        if self._static:
            silent = silent.without_axes()
        for passage in self._passages:
            passage.run(silent)

    def have_faded(self) -> bool:
        """Whether nothing of them is left that a state could show; from then on they are zero."""
        (passage,) = self._passages
        outputs = passage.state.outputs
        # by so many digits a signal would have to fall within a block for it to matter
        if not bool(abs(outputs).max() <= np.finfo(self._precision).eps ** 4):
            return False
        passage.state = passage.state._replace(outputs=outputs * 0)
        return True

    def columns(self, block: Block) -> Array:
        """Return (batch…|1…, C|1, p, units): the outputs of the state that each has come to."""
        found = [to_channels_time(passage.state.outputs, block.layout) for passage in self._passages]
        library = namespace(found[0])
        if not self._static:
            return library.stack(found, -1)
        columns = library.moveaxis(found[0], (0,), (2,))
        return columns.reshape((*self._batch, *columns.shape))

    def _states(self, block: Block) -> Iterator[State]:
        q, p = block.orders
        taps = [part for part in (block.feedforward, block.feedback) if part is not None]
        is_complex = any(name_of(part.dtype) in COMPLEX_DTYPES for part in taps)
        past_y = in_precision("complex64" if is_complex else "float32", self._precision)
        ones = np.eye(q + p)[:, None]
        inputs, outputs = ones[..., :q].astype(self._precision), np.repeat(ones[..., q:], self._channels, 1)
        outputs = outputs.astype(past_y)
        if self._static:
            yield State(*(_as_state(part, block) for part in (inputs, outputs)))
            return
        for n in range(q + p):
            parts = (part[n].reshape((1,) * len(self._batch) + part.shape[1:]) for part in (inputs, outputs))
            yield State(*(_as_state(part, block) for part in parts))


def _as_state(part: np.ndarray[Any, Any], block: Block) -> Array:
    library = namespace(block.x)
    place = {"device": block.x.device} if hasattr(block.x, "new_zeros") else {}
    return from_channels_time(library.asarray(part, **place), block.layout)
