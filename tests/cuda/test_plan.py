"""Planning needs no GPU: grids, shared memory, segments and arguments, from sizes alone."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import pytest
from multirec_backends.cupy._pack import ACROSS, ALONG, SCALAR, VECTOR, View, signal, taps
from multirec_backends.cupy._plan import channels, lanes, plan, products, tiles
from multirec_backends.cupy._plan.bounds import most_threads
from multirec_backends.cupy._plan.parts import LARGEST_GRID, Wanted

import multirec as mr
from multirec._core.problem import real_precision
from multirec.backend import Problem, Taps
from multirec.errors import BackendMissingError


def problem(batch=32, channels=128, length=16000, p=2, q=2, x_channels=1, dtype="float32", varying=False):
    time = length if varying else 1
    taps_dtype = dtype if dtype not in ("float16", "bfloat16") else "float32"
    b, a = Taps(1, channels, 1, q + 1, taps_dtype), Taps(1, channels, time, p, taps_dtype)
    sizes = (batch, channels, length, x_channels)
    return Problem("torch", "cuda:0", dtype, dtype, real_precision(dtype), "BCT", False, *sizes, b, a)


def has(kernel):
    return True


def directions(chosen):
    return chosen.forward, chosen.backward(Wanted())


def kernels(direction):
    return [launch.kernel for launch in direction.launches]


def test_many_sequences_take_one_launch():
    chosen = plan(problem(), has)
    (launch,) = chosen.forward.launches
    assert launch.kernel == "tiles_forward<float,float,float,float,2,2,false,false,128>"
    assert launch.grid.segments == 1
    assert launch.grid.items * (1 << launch.grid.log_rows) == 32 * 128


def test_few_long_sequences_are_cut_in_time():
    chosen = plan(problem(batch=2, channels=1, length=10_000_000), has)
    first, carry, last = chosen.forward.launches
    assert [first.phase, carry.phase, last.phase] == [1, 1, 2]
    grid = first.grid
    assert grid.segments > 500
    assert (grid.segments - 1) * grid.tiles < -(-10_000_000 // 1024) <= grid.segments * grid.tiles
    assert "segments of time" in chosen.note


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("shared", [True, False])
def test_shared_memory_fits_every_gpu(dtype, shared):
    for p in range(tiles.HIGHEST_ORDER + 1):
        for q in range(tiles.HIGHEST_ORDER + 1):
            chosen = tiles.plan(problem(p=p, q=q, dtype=dtype, x_channels=1 if shared else 128), has)
            for launch in (launch for direction in directions(chosen) for launch in direction.launches):
                assert launch.shared <= 48 << 10
                assert launch.threads <= (128 if p + q > 8 else 256)


def test_high_orders_give_every_segment_a_lane():
    chosen = plan(problem(16, 32, 48000, p=16, q=16), has)
    types = "float,float,float,float"
    trust, ends, carry, run = chosen.forward.launches
    assert [launch.phase for launch in (ends, carry, run)] == [1, 1, 2]
    assert trust.kernel == "lanes_trust<float,float,16>"
    assert ends.kernel == run.kernel == f"lanes_forward<{types},16,16>"
    assert carry.kernel == "lanes_carry<float,float,16,false>"
    # 94 segments of 16 lines; beside them the powers of 32 channels
    assert (run.blocks, ends.blocks) == (16 * 94, 16 * 94 + 32)
    assert chosen.backward(Wanted()).groups == 1


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize(("batch", "channels", "length"), [(32, 128, 16000), (16, 1, 2_000_000), (1, 20_000, 7)])
def test_lanes_fit_every_gpu(dtype, batch, channels, length):
    for p in range(lanes.LOWEST_ORDER, lanes.HIGHEST_ORDER + 1):
        for q, own_x in ((0, True), (p, False), (16, True)):
            described = problem(batch, channels, length, p, q, channels if own_x else 1, dtype)
            chosen = lanes.plan(described, has)
            if chosen is None:
                assert dtype == "complex128"  # too many registers
                continue
            for launch in (launch for direction in directions(chosen) for launch in direction.launches):
                assert launch.shared <= 48 << 10
                assert launch.threads <= (256 if launch.kernel.startswith(("lanes_trust", "lanes_together")) else 32)
                segments = launch.grid.segments
                assert (segments - 1) * launch.grid.tiles < -(-length // lanes.samples_of(described))


def test_many_rows_take_their_segments_in_one_launch():
    chosen = plan(problem(p=4, q=4), has)
    trust, run = chosen.forward.launches
    assert (trust.phase, run.phase) == (4, 4)
    assert run.kernel == "lanes_together<float,float,float,float,4,4>"
    assert (run.blocks, run.threads, run.grid.segments) == (32 * 8, 256, 63)
    assert [launch.phase for launch in chosen.backward(Wanted()).launches] == [0, 1, 1, 2]
    for else_where in (problem(batch=16, p=4), problem(p=9), problem(p=4, dtype="float64"), problem(p=4, length=7000)):
        assert "lanes_together" not in "".join(kernels(plan(else_where, has).forward))


def test_few_rows_are_too_few_lanes():
    assert lanes.plan(problem(5, 3, 100_000, p=4), has) is None
    assert lanes.plan(problem(5, 4, 100_000, p=4), has)
    assert lanes.plan(problem(5, 4, 100_000, p=2), has) is None


def test_what_the_fast_kernels_refuse_goes_to_the_sequential_ones():
    for refused in (problem(p=32), problem(q=32), problem(p=0, q=17)):
        chosen = plan(refused, has)
        forward, backward = directions(chosen)
        assert kernels(forward) == ["sequential_forward<float,float,float,float>"]
        assert kernels(backward) == ["sequential_backward<float,float,float,float>"]
    assert kernels(plan(problem(p=1, varying=True), has).forward)[0].startswith("tiles_")


def test_varying_feedback_of_few_rows_is_cut_in_time():
    chosen = plan(problem(batch=8, channels=1, length=160_000, p=16, q=0, varying=True), has)
    ends, carry, last = chosen.forward.launches
    assert [launch.kernel.partition("<")[0] for launch in (ends, carry, last)] == [
        *("products_ends", "products_carry", "products_forward")
    ]
    assert [ends.phase, carry.phase, last.phase] == [1, 1, 2]
    grid = last.grid
    assert 200 < grid.segments < 800
    assert (grid.segments - 1) * grid.tiles < 160_000 // 32 <= grid.segments * grid.tiles
    # the last segment hands nothing on
    assert (ends.grid.items, last.grid.items) == (8 * (grid.segments - 1), 8 * grid.segments // 2)


def test_varying_feedback_in_double_mends_its_states_once():
    chosen = plan(problem(batch=1, channels=2, length=5000, p=3, q=0, varying=True, dtype="complex128"), has)
    names = [(launch.kernel.partition("<")[0], launch.phase) for launch in chosen.backward(Wanted()).launches]
    assert names == [
        ("products_ends", 1),
        ("products_carry", 1),
        ("products_backward", 2),
        ("products_carry", 2),
        ("products_backward", 3),
    ]


def test_teams_compute_what_tiles_refuse():
    for whole in (problem(p=17, q=17), problem(p=1, q=31), problem(p=2, varying=True)):
        assert kernels(plan(whole, has).forward)[0].startswith("products_")


def test_varying_feedback_of_many_rows_or_few_samples_is_not_cut():
    for whole in (problem(channels=4, p=16, varying=True), problem(1, 1, 511, p=2, varying=True)):
        (launch,) = plan(whole, has).forward.launches
        assert launch.phase == 0
    # feedforward reaches further than feedback: the adjoint keeps a state that is as long
    (launch,) = plan(problem(1, 1, 100, p=2, q=5, varying=True), has).backward(Wanted()).launches
    assert launch.kernel == "products_backward<float,float,float,float,5>"


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
def test_shared_memory_of_varying_feedback_fits_every_gpu(dtype):
    for p in range(2, products.HIGHEST_ORDER + 1):
        for q in (0, products.HIGHEST_ORDER):
            chosen = plan(problem(1, 1, 9000, p=p, q=q, dtype=dtype, varying=True), has)
            for direction in directions(chosen):
                assert len(direction.launches) > 2
                assert all(0 < launch.shared <= 48 << 10 for launch in direction.launches)


def test_channels_next_to_each_other_are_lanes():
    for layout in ("BTC", "TBC"):
        forward, backward = directions(plan(replace(problem(), layout=layout), has))
        assert kernels(forward) == ["channels_forward<float,float,float,float,2,2,false,false,32,true>"]
        assert kernels(backward) == ["channels_backward<float,float,float,float,2,2,false,false,16,true,false>"]
        assert forward.launches[0].blocks == 32 * 128 // 32
        assert backward.groups == 128 // 32
    # by example where they share x, or all of a layout's neighbours
    few = replace(problem(batch=64, channels=4, x_channels=4), layout="TBC")
    assert plan(few, has).forward.launches[0].grid.groups == 64 * 4 // 32
    for other in (replace(few, layout="BTC"), replace(few, x_channels=1)):
        assert kernels(plan(other, has).forward)[0].startswith("tiles_")


def test_lanes_have_two_channels_of_half_types():
    for p, types in ((2, "BFloat,Two<BFloat>,Two<float>,Two<float>"), (3, "BFloat,BFloat,float,float")):
        chosen = plan(replace(problem(p=p, dtype="bfloat16"), layout="BTC"), has)
        (launch,) = chosen.forward.launches
        assert launch.kernel == f"channels_forward<{types},{p},2,false,false,{32 if p == 2 else 16},true>"
        # the same rows and as many runs as where each has a warp of its own
        assert (launch.threads, launch.grid.groups) == (256 if p == 2 else 512, 128 // 32)
    own = replace(problem(dtype="float16", x_channels=128), layout="BTC")
    types = "Two<Half>,Two<Half>,Two<float>,Two<float>"
    forward, backward = directions(plan(own, has))
    assert kernels(forward) == [f"channels_forward<{types},2,2,false,false,24,false>"]
    assert kernels(backward) == [f"channels_backward<{types},2,2,false,false,16,false,true>"]
    assert kernels(plan(replace(own, dtype="float32", y_dtype="complex64"), has).forward)[0].startswith(
        "channels_forward<float,Complex"
    )


def test_few_long_rows_of_neighbouring_channels_are_cut_in_time():
    few = replace(problem(batch=1, channels=64, length=400_000, x_channels=64), layout="BTC")
    first, carry, last = plan(few, has).forward.launches
    assert [first.phase, carry.phase, last.phase] == [1, 1, 2]
    assert 32 < first.grid.segments <= 64
    assert carry.kernel == "carry<float,float,2,512,false>"
    # double would have to be mended
    double = replace(problem(batch=1, channels=64, length=400_000, x_channels=64, dtype="float64"), layout="BTC")
    assert kernels(plan(double, has).forward)[0].startswith("tiles_")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("batch", [1, 1000])
def test_shared_memory_of_channels_fits_every_gpu(dtype, shared, batch):
    for p in range(channels.HIGHEST_ORDER + 1):
        for q in range(channels.HIGHEST_ORDER + 1):
            x_channels = 1 if shared else 128
            one = problem(batch, p=p, q=q, dtype=dtype, x_channels=x_channels, length=900)
            chosen = channels.plan(replace(one, layout="TBC"), has)
            for launch in (launch for direction in directions(chosen) for launch in direction.launches):
                assert launch.shared <= 48 << 10
                assert launch.threads in range(32, most_threads(launch.kernel) + 1, 32)


@pytest.mark.parametrize("layout", ["BCT", "BTC", "TBC"])
@pytest.mark.parametrize("x_channels", [1, 128])
def test_no_examples_are_no_work(layout, x_channels):
    chosen = plan(replace(problem(batch=0, x_channels=x_channels), layout=layout), has)
    assert {launch.grid.items for direction in directions(chosen) for launch in direction.launches} == {0}


@pytest.mark.parametrize(("batch", "channels"), [(70_000, 3), (1, 200_000), (3_000_000_000, 1)])
def test_large_grids_stay_within_what_a_launch_takes(batch, channels):
    for chosen in (plan(problem(batch, channels, 5), has), plan(problem(batch, channels, 5, p=20), has)):
        for launch in chosen.forward.launches:
            assert launch.blocks <= LARGEST_GRID
            assert launch.grid.items >= launch.blocks


def test_the_plan_depends_on_the_shape_alone():
    first = problem(batch=1, channels=3, length=100_000)
    second = replace(first, device="cuda:1", family="cupy")
    assert directions(plan(first, has)) == directions(plan(second, has))


def test_running_backwards_starts_at_the_end():
    view = View(1000, (2, 3, 10), (30, 10, 1), 4)
    assert signal(view, False) == (1000, 30, 10, 1, SCALAR)
    assert signal(view, True) == (1000 + 9 * 4, 30, 10, -1, SCALAR)


@pytest.mark.parametrize(
    ("address", "strides", "access"),
    [
        (1024, (36, 12, 1), VECTOR),
        (1028, (36, 12, 1), ALONG),
        (1024, (39, 13, 1), ALONG),
        (1024, (36, 12, 0), SCALAR),
        (1024, (72, 24, 2), SCALAR),
        (1024, (36, 1, 3), ACROSS),
    ],
)
def test_neighbours_are_read_at_once_at_whatever_address(address, strides, access):
    assert signal(View(address, (2, 3, 12), strides, 4), False, 4)[-1] == access


def test_segments_of_few_rows_run_at_once():
    # sixteen warps on each of an H100's processors
    for chosen in (problem(batch=2, channels=1, length=10_000_000), problem(batch=4, channels=8, length=2_000_000)):
        for direction in directions(plan(chosen, has)):
            first, carries, second = direction.launches
            rows = first.blocks * first.threads // 32
            assert 1500 < rows <= 16 * 132
            assert first._replace(phase=2) == second
            assert carries.threads == min(512, -(-direction.segments // 32) * 32)


def test_single_axes_of_coefficients_have_no_stride():
    assert taps(View(64, (1, 3, 1, 2), (6, 2, 2, 1), 8), True) == (64, 0, 2, 0, 1, 0)


def test_strides_and_sizes_beyond_31_bits():
    view = View(1 << 46, (1, 3, 1 << 32), (3 << 32, 1 << 32, 1), 4)
    assert signal(view, True)[0] == (1 << 46) + ((1 << 32) - 1) * 4


@pytest.mark.skipif(find_spec("cupy") is not None, reason="CuPy is installed")
def test_without_cupy_the_error_says_how_to_install_it():
    import numpy as np

    with pytest.raises(BackendMissingError) as caught:
        mr.recurrence(np.ones((1, 3)), feedback=np.array([[0.5]]), backend="cupy")
    assert str(caught.value) == (
        "backend 'cupy' is registered but cannot run here: module 'cupy' is not installed. Install it with: "
        "pip install 'multirec-bank[cupy13]' (CUDA 13) or 'multirec-bank[cupy12]'."
    )
    status = mr.backends()["cupy"]
    assert (status.status, status.reason) == ("missing", "module 'cupy' is not installed")
