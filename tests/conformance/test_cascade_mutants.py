"""Kernels of cascades that are wrong on purpose fail the check that is theirs; the one that steps passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import multirec as mr
from multirec.backend import BackendInfo, CascadeGradients, CascadeResult
from multirec.reference import kernel as right
from multirec.testing.cascades import _adjoint, _Results, _stepped, cascades
from multirec.testing.checks import Subject, checks_of
from multirec.testing.libraries import NumpyLibrary


class Steps:
    """Right, one sample at a time."""

    forward, vjp = right.forward, right.vjp

    def cascades(self, cascade: Any) -> bool:
        return True

    def cascade(self, cascade: Any, operands: Any, allocate: Any) -> Any:
        y = allocate(cascade.channels, cascade.y_dtype)
        found = _stepped(*operands, cascade.reverse)
        y[...] = found.y
        return CascadeResult(y, found.memory, found.ends)

    def cascade_vjp(
        self, cascade: Any, operands: Any, grad_y: Any, grad_memory: Any, grad_ends: Any, needs: Any, allocate: Any
    ) -> Any:
        return CascadeGradients(*_adjoint(*operands, _Results(grad_y, grad_memory, grad_ends), cascade.reverse))


class IgnoresMemory(Steps):
    def cascade(self, cascade: Any, operands: Any, allocate: Any) -> Any:
        return super().cascade(cascade, operands._replace(memory=np.zeros_like(operands.memory)), allocate)


class ForgetsTheLastSection(Steps):
    def cascade(self, cascade: Any, operands: Any, allocate: Any) -> Any:
        taps = np.array(operands.taps)
        taps[:, :, -1] = [1, 0, 0, 0, 0]
        return super().cascade(cascade, operands._replace(taps=taps), allocate)


class SwapsEnds(Steps):
    def cascade(self, cascade: Any, operands: Any, allocate: Any) -> Any:
        found = super().cascade(cascade, operands, allocate)
        return found._replace(ends=found.ends[..., ::-1])


class SpreadsNaN(Steps):
    def cascade(self, cascade: Any, operands: Any, allocate: Any) -> Any:
        found = super().cascade(cascade, operands, allocate)
        return found._replace(y=found.y + 0 * found.y.sum())


class GradientWithoutEnds(Steps):
    def cascade_vjp(self, cascade: Any, operands: Any, *others: Any) -> Any:
        grad_y, grad_memory, grad_ends, needs, allocate = others
        zeros = np.zeros_like(grad_ends)
        return super().cascade_vjp(cascade, operands, grad_y, grad_memory, zeros, needs, allocate)


class GradientOfTapsOfOneExample(Steps):
    def cascade_vjp(self, *arguments: Any) -> Any:
        found = super().cascade_vjp(*arguments)
        return found._replace(taps=found.taps / 2)


KERNELS = [Steps, *Steps.__subclasses__()]
globals().update({f"{cls.__name__}_kernel": cls() for cls in KERNELS})


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda cls: cls.__name__)
def test_only_what_is_right_passes(kernel: type) -> None:
    kernel_name = f"{__name__}:{kernel.__name__}_kernel"
    info = BackendInfo(name="cascade_mutant", summary="steps", kernel=kernel_name, family="numpy")
    mr.register_backend(info)
    try:
        subject = Subject(info.name, NumpyLibrary(), "float64")
        assert "cascades" in checks_of(subject)
        tally = cascades(subject)
    finally:
        mr.unregister_backend(info.name)
    assert tally.computed == 32
    assert bool(tally.failures) is (kernel is not Steps), str(tally)
