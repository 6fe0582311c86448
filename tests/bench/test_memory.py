"""How far a call grows the process."""

from __future__ import annotations

import numpy as np
import pytest

from multirec.bench.host.memory import host_growth, reset_host_peak

SIZE = 8_000_000


def test_memory_that_an_earlier_call_left_counts() -> None:
    for _ in range(3):
        # from the second on, it comes from what was freed
        np.ones(SIZE // 8).sum()
    reset_host_peak()
    array = np.ones(SIZE // 8)
    growth = host_growth()
    if growth is None:
        pytest.skip("this system does not tell the peak of a process")
    assert 0.9 * SIZE < growth < 1.5 * SIZE
    assert array.sum() == SIZE // 8
