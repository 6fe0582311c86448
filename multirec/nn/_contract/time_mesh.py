"""Processes over which time is cut: each has a part of the same sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from multirec._core.state import State
from multirec._core.validate import Choices
from multirec.errors import UnsupportedError

__all__ = ["TimeMesh"]


@dataclass(frozen=True)
class TimeMesh:
    """The processes, in the order of time.

    A copy of a module is cut as that is; one that was pickled is whole, since processes are those of one run.
    """

    mesh: Any
    mesh_dim: str | int | None

    def __deepcopy__(self, memo: dict[int, Any]) -> TimeMesh:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()

    def recurrence(self, arrays: tuple[Any, ...], choices: Choices, cuts: dict[str, Any]) -> tuple[Tensor, State]:
        """Return y of this process's samples, and the state after those of all."""
        from multirec._mesh.door import recurrence

        others = cuts.keys() - {"resets"}
        if others:
            raise UnsupportedError(
                f"{' and '.join(sorted(others))} is given to a unit whose time is cut over processes, where they do "
                "not say in which samples sequences begin and end. Pass resets, of this process's samples."
            )
        # gradients of all weights are then alike, each process's own part of a sum
        return recurrence(
            arrays, choices, cuts.get("resets"), self.mesh, self.mesh_dim, check=True, sum_gradients=False
        )
