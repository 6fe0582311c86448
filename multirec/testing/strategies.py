"""Hypothesis strategies: stable problems over everything that a caller may vary."""

from __future__ import annotations

from itertools import product
from typing import Any

from hypothesis import strategies as st

from .cover import DTYPES, KINDS, LAYOUTS
from .problems import Case

__all__ = ["cases"]


@st.composite
def cases(draw: st.DrawFn, /, **fixed: Any) -> Case:
    """Draw a `Case` with the fields given as keywords; the sizes include 0, 1 and blocks shorter than the order.

    Example
    -------
    >>> from hypothesis import given
    >>> @given(cases(dtype="float64", reverse=False))
    ... def test_it(case):
    ...     assert case.dtype == "float64" and not case.reverse
    >>> test_it()
    """
    dtypes = draw(st.sampled_from([choice for choice in DTYPES if choice[0] == fixed.get("dtype", choice[0])]))
    kinds = draw(st.sampled_from([pair for pair in product(KINDS, KINDS) if pair != ("none", "none")]))
    choices = {
        "dtype": dtypes[0],
        "compute_dtype": draw(st.sampled_from([None, "float64"])),
        "feedforward_dtype": dtypes[1],
        "feedback_dtype": dtypes[2],
        "feedforward": kinds[0],
        "feedback": kinds[1],
        "layout": draw(st.sampled_from(LAYOUTS)),
        "input_order": draw(st.integers(0, 3)),
        "order": draw(st.integers(1, 3)),
        "batch": draw(st.sampled_from([(), (1,), (2,), (0,), (2, 3)])),
        "channels": draw(st.integers(1, 4)),
        "length": draw(st.sampled_from([0, 1, 2, 7, 12, 33])),
        "shared": draw(st.booleans()),
        "ones": draw(st.sampled_from([(), ("batch",), ("channels",), ("time",)])),
        "state": draw(st.sampled_from(["none", "both", "inputs", "outputs"])),
        "rounded_state": draw(st.booleans()),
        "reverse": draw(st.booleans()),
        "seed": draw(st.integers(0, 7)),
    }
    return Case(**{**choices, **fixed})
