"""Units that compute recurrences: of whole sequences, or of a part of which other processes have the rest."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from multirec._core.problem import ComputeDtype
from multirec._core.state import State
from multirec._core.validate import Choices
from multirec._engine.call import split_state
from multirec._recurrence import run
from multirec._sequences.marks import marks_of

from .unit import RecurrentUnit

__all__ = ["AlongTime"]


class AlongTime(RecurrentUnit):
    """A unit all of whose samples meet in `_recurrence`, so that time can be cut there."""

    reverse: bool
    backend: str

    _needs_all = ""
    """Why a part of a sequence cannot be computed without what is before it, if that is so."""

    def _recurrence(
        self,
        x: Tensor,
        feedforward: Tensor | None,
        feedback: Tensor | None,
        state: Any,
        cuts: dict[str, Any],
        compute_dtype: ComputeDtype | None = None,
    ) -> tuple[Tensor, State]:
        """Return what `multirec.recurrence` does, of this process's samples where time is cut."""
        arrays = x, feedforward, feedback, *split_state(state)
        choices = Choices(self.layout, self.reverse, self.backend, compute_dtype)
        if self._time_mesh is not None:
            return self._time_mesh.recurrence(arrays, choices, cuts)
        return run(arrays, choices, marks=marks_of(**cuts) if cuts else None)
