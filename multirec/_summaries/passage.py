"""A recurrence that runs on for its state alone."""

from __future__ import annotations

from .._core.state import State
from .._core.validate import Choices
from .._recurrence import run
from .block import Block

__all__ = ["Passage"]


class Passage:
    """Runs over blocks that follow each other, and holds the state after the last one."""

    def __init__(self, state: State, choices: Choices) -> None:
        self.state, self._choices = state, choices

    def run(self, block: Block) -> None:
        """Run over the next block."""
        arrays = block.x, block.feedforward, block.feedback, *self.state
        self.state = run(arrays, self._choices, None, block.marks)[1]
