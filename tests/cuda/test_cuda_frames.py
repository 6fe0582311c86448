"""Coefficients that come at a frame rate: the emulated kernels against coefficients that were expanded to samples."""

from __future__ import annotations

import shutil
from dataclasses import replace

import framed
import numpy as np
import pytest
from emulated import RecordingDevice
from multirec_backends.cupy._kernel import Kernel
from multirec_backends.cupy._plan.frames import plan
from multirec_backends.cupy._plan.parts import Wanted
from test_emulated import computed, wrong
from tried import device_for, faults_of

from multirec.backend import FramesKernel

built = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")


@built
def test_they_are_as_if_expanded():
    assert not faults_of(framed.FramedCase, framed.SHORT)


@built
def test_what_is_held_knows_nothing_of_the_next_frame():
    case = framed.SHORT[0] | {"linear": False}
    plain, other = (framed.FramedCase(**case) for _ in range(2))
    other.operands.feedback[:, :, 3:] = np.nan
    # built with the others
    kernel = Kernel(device_for(framed.FramedCase, framed.SHORT))
    # 41 samples of the first frame are before the block
    begins = 3 * case["hop"] - case["offset"]
    own, spoiled = (each.run(kernel)[0] for each in (plain, other))
    # rows whose products are not finite are computed in turn, which rounds differently
    np.testing.assert_allclose(own[..., :begins], spoiled[..., :begins], atol=1e-4)
    assert np.isnan(spoiled[..., begins:]).all()


@pytest.mark.long
@built
def test_every_type_and_order():
    assert not faults_of(framed.FramedCase, framed.LONG)


@pytest.mark.long
@pytest.mark.parametrize("long", [False, True])
def test_with_sanitizers(long):
    faults = wrong(computed("framed", long=long))
    assert not faults, faults


def test_segments_of_time_and_what_they_leave_for_frames():
    one = framed.FramedCase(order=4, length=40_000, hop=100).framed
    chosen = plan(one)
    assert [launch.phase for launch in chosen.forward.launches] == [1, 1, 2]
    back = chosen.backward(Wanted())
    assert back.launches[-1].kernel == "products_frames<float,float,Framed<float>,Framed<float>,4>"
    # two sums for each frame that a segment meets
    sizes = dict(back.scratch)
    assert sizes["frames"] == 4 * (back.segments + one.frames) * 2 * 5 * 8
    # never as many as samples
    assert sizes["frames"] < 4 * 40_000 * 5 * 4
    frozen = chosen.backward(Wanted(feedforward=False, feedback=False))
    assert "frames" not in dict(frozen.scratch)
    assert len(frozen.launches) == 3


def test_which_it_takes():
    kernel, one = Kernel(RecordingDevice()), framed.FramedCase(order=4, length=40, hop=8).framed
    assert isinstance(kernel, FramesKernel)
    assert kernel.frames(one)
    assert not kernel.frames(replace(one, hop=7))
    assert not kernel.frames(framed.FramedCase(order=32, length=40, hop=8).framed)
