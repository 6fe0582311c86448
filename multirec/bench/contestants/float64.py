"""The process that computes the float64 reference of every case."""

from __future__ import annotations

from typing import Any

from ..cases.case import Case, Mode
from ..cases.signals import Outputs, Signals
from .base import Contestant, Run


class Float64(Contestant):
    """Is asked for references alone, and never timed."""

    name = "float64 reference"
    summary = "what all are compared with"

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        raise NotImplementedError

    def outputs(self, result: Any) -> Outputs:
        raise NotImplementedError
