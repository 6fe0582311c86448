"""What is asked of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..cases.case import Case, Mode
from ..contestants import Contestant
from ..results.format import PresetName


class Preset(NamedTuple):
    """How hard a run tries: seconds, half-width of a ratio's interval that is narrow enough, rounds at most."""

    seconds: float
    narrow: float
    rounds: int


PRESETS: dict[PresetName, Preset] = {
    "default": Preset(60.0, 0.01, 400),
    "quick": Preset(15.0, 0.01, 400),
    "rigorous": Preset(600.0, 0.004, 1600),
}


@dataclass(frozen=True)
class Request:
    """Which contestants compute what, in how much time. `seconds` is the preset's where it is None."""

    contestants: Sequence[Contestant]
    cases: Sequence[Case]
    modes: Sequence[Mode]
    preset: PresetName = "default"
    seconds: float | None = None
    seed: int = 0
    name: str = "multirec bench"
    command: str = "multirec bench"

    @property
    def effort(self) -> Preset:
        """The preset, with the seconds that were asked for."""
        preset = PRESETS[self.preset]
        return preset if self.seconds is None else preset._replace(seconds=self.seconds)

    def identity(self) -> dict[str, Any]:
        """Return what has to be the same for a run to be continued."""
        return {
            "contestants": [contestant.name for contestant in self.contestants],
            "cases": [case.as_dict() for case in self.cases],
            "modes": list(self.modes),
            "preset": self.preset,
            "seed": self.seed,
        }
