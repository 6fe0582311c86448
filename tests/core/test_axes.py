"""Views in the axes of a layout and back, for signals and for coefficients; casts of what NumPy has no type for."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import torch

from multirec._core.axes import cast_to, from_channels_time, to_channels_time
from multirec._machine.bfloat16 import to_bfloat16

PLACES = {"BCT": (2, 3, 4, 5), "BTC": (2, 3, 5, 4), "TBC": (5, 2, 3, 4)}
"""Two batch axes, four channels and five samples."""


@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy, jnp.asarray], ids=["numpy", "torch", "jax"])
@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("layout", PLACES)
def test_axes_go_there_and_back(layout: Any, after: int, make: Any) -> None:
    shape = (*PLACES[layout], *(7,) * after)
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    array = make(values)
    there = to_channels_time(array, layout, after)
    assert tuple(there.shape) == (2, 3, 4, 5, *(7,) * after)
    batch, channel, time = (1, 2), 3, 4
    place = {"BCT": (*batch, channel, time), "BTC": (*batch, time, channel), "TBC": (time, *batch, channel)}[layout]
    np.testing.assert_array_equal(there[(*batch, channel, time)], values[place])
    np.testing.assert_array_equal(from_channels_time(there, layout, after), values)


def test_bits_of_bfloat16_are_numbers() -> None:
    numbers = np.array([1.5, -2.0, 0.0])
    for dtype in ("float32", "float64"):
        got = cast_to(to_bfloat16(numbers), dtype)
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, numbers)
