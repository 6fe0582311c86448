"""Several sequences in one row of time: the emulated kernels against each of them alone."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import packed
import pytest
from emulated import RecordingDevice
from multirec_backends.cupy._kernel import Kernel
from multirec_backends.cupy._plan.parts import Wanted
from multirec_backends.cupy._plan.sequences import plan
from test_emulated import computed, wrong
from tried import device_for, faults_of

from multirec.backend import SequenceKernel

built = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")


@built
def test_each_is_as_if_it_were_alone():
    assert not faults_of(packed.Packed, packed.SHORT)


@pytest.mark.long
@built
def test_every_kind_and_type():
    assert not faults_of(packed.Packed, packed.LONG)


@pytest.mark.long
@pytest.mark.parametrize("long", [False, True])
def test_with_sanitizers(long):
    faults = wrong(computed("packed", long=long))
    assert not faults, faults


@built
@pytest.mark.parametrize("case", packed.SHORT[:2])
def test_samples_of_others_change_no_bit(case):
    # built with the others
    kernel = Kernel(device_for(packed.Packed, packed.SHORT))
    plain, other = (packed.Packed(**case) for _ in range(2))
    spoilt = np.isin(plain.numbers, (1, 9))
    for array in (other.operands.x, other.grad_y, other.operands.feedback[..., 0]):
        array[np.broadcast_to(spoilt[:, None], array.shape)] = np.nan
    for name, own, spoiled in zip(packed.NAMES, plain.run(kernel), other.run(kernel), strict=True):
        if own is None or own.shape[2] != spoilt.shape[1]:
            continue
        kept = np.broadcast_to((~spoilt)[:, None], own.shape[:3])
        assert np.array_equal(own[kept], spoiled[kept]), name
        assert not np.array_equal(own, spoiled), name


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ({}, "walk_forward<float,float,float,float,2,2>"),
        ({"layout": "BTC", "channels": 40, "p": 4, "q": 4}, "walk_forward<float,float,float,float,4,4>"),
        ({"p": 5}, "forward<float,float,float,float>"),
        ({"a": "varying"}, "forward<float,float,float,float>"),
        ({"p": 1, "q": 0, "a": "varying"}, "forward<float,float,float,float>"),
        (
            {"p": 1, "q": 0, "a": "varying", "layout": "TBC", "channels": 8},
            "gates_forward<float,float,float,float,true>",
        ),
        ({"p": 1, "q": 0, "b": "", "layout": "BTC", "channels": 7}, "walk_forward<float,float,float,float,1,0>"),
    ],
)
def test_which_kind_computes_what(case, kind):
    problem = packed.Packed(**({"channels": 3} | case)).problem
    (launch,) = plan(problem, lambda kernel: True).forward.launches
    assert launch.kernel == f"sequences_{kind}"


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
def test_gates_have_a_kind_of_their_own(dtype):
    case = packed.Packed(channels=40, layout="BTC", p=1, q=0, a="varying", b="", dtype=dtype)
    chosen = plan(case.problem, lambda kernel: True)
    for direction in (chosen.forward, chosen.backward(Wanted())):
        (launch,) = direction.launches
        assert launch.kernel.startswith("sequences_gates")
        assert launch.shared <= 48 << 10
        # sums over time take the place of what runs hand on
        assert launch.shared >= launch.threads * 2 * (16 if "complex" in dtype else 8)


def test_many_groups_have_small_blocks():
    few, many = (
        plan(replace(packed.Packed(channels=1024, layout="BTC", p=1, q=0, length=129).problem, batch=batch), bool)
        for batch in (1, 8)
    )
    threads = [chosen.forward.launches[0].threads for chosen in (few, many)]
    tiles = [chosen.forward.launches[0].grid.tiles for chosen in (few, many)]
    assert (threads, tiles) == ([512, 256], [1, 2])


def test_is_a_kernel_of_sequences():
    assert isinstance(Kernel(RecordingDevice()), SequenceKernel)
