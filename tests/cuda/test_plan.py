"""Planning needs no GPU: grids, shared memory, segments and arguments, from sizes alone."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import pytest
from multirec_backends.cupy._pack import ACROSS, SCALAR, VECTOR, View, signal, taps
from multirec_backends.cupy._plan import FASTEST_ORDER, LARGEST_GRID, plan

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


def has(arguments):
    return True


def test_many_sequences_take_one_launch():
    chosen = plan(problem(), has)
    assert chosen.kernels[0] == "forward<float,float,float,float,2,2,false,false,128>"
    assert chosen.grids[0].segments == 1
    assert chosen.grids[0].items * (1 << chosen.grids[0].log_rows) == 32 * 128


def test_few_long_sequences_are_cut_in_time():
    chosen = plan(problem(batch=2, channels=1, length=10_000_000), has)
    grid = chosen.grids[0]
    assert grid.segments > 500
    assert (grid.segments - 1) * grid.tiles < -(-10_000_000 // chosen.tile) <= grid.segments * grid.tiles
    assert "segments of time" in chosen.note


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("shared", [True, False])
def test_shared_memory_fits_every_gpu(dtype, shared):
    for p in range(FASTEST_ORDER + 1):
        for q in range(FASTEST_ORDER + 1):
            chosen = plan(problem(p=p, q=q, dtype=dtype, x_channels=1 if shared else 128), has)
            assert chosen.is_tiled
            for grid in chosen.grids:
                assert grid.shared <= 48 << 10
                assert grid.threads <= (128 if p + q > 8 else 256)
            assert max(chosen.carry_shared) <= 48 << 10


def test_what_the_fast_kernels_refuse_goes_to_the_sequential_ones():
    for refused in (problem(p=17), problem(q=17), problem(p=2, varying=True)):
        chosen = plan(refused, has)
        assert chosen.kernels[0] == "sequential_forward<float,float,float,float>"
        assert chosen.kernels[1].startswith("sequential_backward")
    assert plan(problem(p=1, varying=True), has).is_tiled


@pytest.mark.parametrize(("batch", "channels"), [(70_000, 3), (1, 200_000), (3_000_000_000, 1)])
def test_large_grids_stay_within_what_a_launch_takes(batch, channels):
    for chosen in (plan(problem(batch, channels, 5), has), plan(problem(batch, channels, 5, p=20), has)):
        assert chosen.grids[0].blocks <= LARGEST_GRID
        assert chosen.grids[0].items >= chosen.grids[0].blocks


def test_the_plan_depends_on_the_shape_alone():
    first = problem(batch=1, channels=3, length=100_000)
    assert plan(first, has) == plan(replace(first, device="cuda:1", family="cupy"), has)


def test_running_backwards_starts_at_the_end():
    view = View(1000, (2, 3, 10), (30, 10, 1), 4)
    assert signal(view, False) == (1000, 30, 10, 1, 0)
    assert signal(view, True) == (1000 + 9 * 4, 30, 10, -1, 0)


@pytest.mark.parametrize(
    ("address", "shape", "strides", "access"),
    [
        (1024, (2, 3, 12), (36, 12, 1), VECTOR),
        (1024, (1, 1, 12), (7, 7, 1), VECTOR),
        (1028, (2, 3, 12), (36, 12, 1), SCALAR),
        (1024, (2, 3, 10), (30, 10, 1), SCALAR),
        (1024, (2, 3, 12), (39, 13, 1), SCALAR),
        (1024, (2, 3, 12), (36, 12, 0), SCALAR),
        (1024, (2, 3, 12), (72, 24, 2), SCALAR),
        (1024, (2, 3, 12), (36, 1, 3), ACROSS),
    ],
)
def test_words_of_16_bytes_where_every_row_is_aligned(address, shape, strides, access):
    assert signal(View(address, shape, strides, 4), False, 4)[-1] == access


def test_half_types_are_read_four_at_once():
    assert signal(View(1032, (1, 1, 8), (8, 8, 1), 2), False, 4)[-1] == VECTOR
    assert signal(View(1036, (1, 1, 8), (8, 8, 1), 2), False, 4)[-1] == SCALAR


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
