"""Kernels of frames that are wrong on purpose fail the check that is theirs; the one that expands them passes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import multirec as mr
from multirec.backend import BackendInfo, Gradients
from multirec.reference import kernel as right
from multirec.testing.checks import Subject, checks_of
from multirec.testing.frames import _expected, frames
from multirec.testing.libraries import NumpyLibrary


class Expands:
    """Right, with the coefficients of every sample."""

    forward, vjp = right.forward, right.vjp

    def frames(self, framed: Any) -> bool:
        return True

    def forward_frames(self, framed: Any, operands: Any, offset: int, allocate: Any) -> Any:
        problem = framed.problem
        zeros = np.zeros((problem.batch, problem.channels, problem.length)), np.zeros(operands.outputs.shape)
        found = _expected(framed, offset, operands, *zeros, needs(operands))
        y = allocate(problem.channels, problem.y_dtype)
        y[...] = found[0]
        return y, found[1]

    def vjp_frames(
        self, framed: Any, operands: Any, offset: int, y: Any, grad_y: Any, grad_last: Any, wanted: Any, allocate: Any
    ) -> Any:
        _, _, x, feedforward, feedback, outputs = _expected(framed, offset, operands, grad_y, grad_last, wanted)
        return Gradients(x, feedforward, feedback, None, outputs)


def needs(operands: Any) -> Any:
    return mr.backend.Needs(True, operands.feedforward is not None, True, False, True)


class IgnoresWhereTheBlockBegins(Expands):
    def forward_frames(self, framed: Any, operands: Any, offset: int, allocate: Any) -> Any:
        return super().forward_frames(framed, operands, 0, allocate)


class Holds(Expands):
    def forward_frames(self, framed: Any, operands: Any, offset: int, allocate: Any) -> Any:
        return super().forward_frames(replace(framed, linear=False), operands, offset, allocate)


class ForgetsTheState(Expands):
    def forward_frames(self, framed: Any, operands: Any, offset: int, allocate: Any) -> Any:
        return super().forward_frames(
            framed, operands._replace(outputs=np.zeros_like(operands.outputs)), offset, allocate
        )


class TurnsTheLastOutputs(Expands):
    def forward_frames(self, *arguments: Any) -> Any:
        y, last = super().forward_frames(*arguments)
        return y, last[..., ::-1]


class GradientWithoutTheLast(Expands):
    def vjp_frames(
        self, framed: Any, operands: Any, offset: int, y: Any, grad_y: Any, grad_last: Any, *rest: Any
    ) -> Any:
        return super().vjp_frames(framed, operands, offset, y, grad_y, np.zeros_like(grad_last), *rest)


class GradientOfTheOwnFrameAlone(Expands):
    def vjp_frames(self, framed: Any, *others: Any) -> Any:
        held = super().vjp_frames(replace(framed, linear=False), *others)
        return super().vjp_frames(framed, *others)._replace(feedback=held.feedback)


class GradientWithoutTheGain(Expands):
    def vjp_frames(self, *arguments: Any) -> Any:
        found = super().vjp_frames(*arguments)
        gain = found.feedforward
        return found._replace(feedforward=None if gain is None else np.zeros_like(gain))


KERNELS = [Expands, *Expands.__subclasses__()]
globals().update({f"{cls.__name__}_kernel": cls() for cls in KERNELS})


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda cls: cls.__name__)
def test_only_what_is_right_passes(kernel: type) -> None:
    kernel_name = f"{__name__}:{kernel.__name__}_kernel"
    info = BackendInfo(name="frames_mutant", summary="expands", kernel=kernel_name, family="numpy")
    mr.register_backend(info)
    try:
        subject = Subject(info.name, NumpyLibrary(), "float64")
        assert "frames" in checks_of(subject)
        tally = frames(subject)
    finally:
        mr.unregister_backend(info.name)
    assert tally.computed == 24
    assert bool(tally.failures) is (kernel is not Expands), str(tally)
