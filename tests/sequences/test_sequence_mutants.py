"""Kernels of sequences that are wrong on purpose fail the check that is theirs; the one that is right passes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import separate

import multirec as mr
from multirec.testing.checks import CHECKS, Subject
from multirec.testing.libraries import NumpyLibrary


class LeaksOverResets(separate.Separate):
    def forward_sequences(self, problem: Any, operands: Any, numbers: Any, count: Any, allocate: Any) -> Any:
        one = np.where(numbers < 0, numbers, 0) if count is None else numbers
        return super().forward_sequences(problem, operands, one, count, allocate)


class LeavesPadding(separate.Separate):
    def forward_sequences(self, problem: Any, operands: Any, numbers: Any, count: Any, allocate: Any) -> Any:
        y, last = super().forward_sequences(problem, operands, numbers, count, allocate)
        y[...] = np.where((numbers < 0)[:, None], 1, y)
        return y, last


class TailOfTheBlock(separate.Separate):
    def forward_sequences(self, problem: Any, operands: Any, numbers: Any, count: Any, allocate: Any) -> Any:
        y, last = super().forward_sequences(problem, operands, numbers, count, allocate)
        last[..., -1:] = y[..., : last.shape[-1]][..., -1:] if problem.reverse else y[..., -1:]
        return y, last


class ForgetsStates(separate.Separate):
    def forward_sequences(self, problem: Any, operands: Any, numbers: Any, count: Any, allocate: Any) -> Any:
        return super().forward_sequences(problem, operands._replace(outputs=None), numbers, count, allocate)


class GradientReachesPadding(separate.Separate):
    def vjp_sequences(self, problem: Any, operands: Any, numbers: Any, *others: Any) -> Any:
        found = super().vjp_sequences(problem, operands, numbers, *others)
        found.x[...] = np.where((numbers < 0)[:, None], 1, found.x)
        return found


class GradientIgnoresTheTail(separate.Separate):
    def vjp_sequences(
        self, problem: Any, operands: Any, numbers: Any, count: Any, y: Any, grad_y: Any, grad_last: Any, *others: Any
    ) -> Any:
        return super().vjp_sequences(problem, operands, numbers, count, y, grad_y, None, *others)


KERNELS = [separate.Separate, *separate.Separate.__subclasses__()]
globals().update({f"{cls.__name__}_kernel": cls() for cls in KERNELS})


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda cls: cls.__name__)
def test_only_what_is_right_passes(kernel: type) -> None:
    info = replace(separate.info, name="sequence_mutant", kernel=f"{__name__}:{kernel.__name__}_kernel")
    mr.register_backend(info)
    try:
        tally = CHECKS["sequences"](Subject(info.name, NumpyLibrary(), "float64"))
    finally:
        mr.unregister_backend(info.name)
    assert tally.computed == 7
    assert bool(tally.failures) is (kernel is not separate.Separate), str(tally)
