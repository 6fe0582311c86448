"""What the lane-serial kernels are tried with: `LONG` takes minutes, and is not for every run of the tests."""

from __future__ import annotations

from .parts import Case

_ARGUMENTS = frozenset(
    {
        "float,float,float,float,4,3",
        "double,double,double,double,3,4",
        "Half,Complex<float>,Complex<float>,float,3,1",
    }
)
BUILT = frozenset(f"lanes_forward<{arguments}>" for arguments in _ARGUMENTS)

_FLOAT: Case = {"p": 4, "q": 3}
_DOUBLE: Case = {"dtype": "float64", "p": 3, "q": 4}
_MIXED: Case = {"dtype": "float16", "b_dtype": "complex64", "p": 3, "q": 1}

_TOGETHER: Case = {**_FLOAT, "planned": {"FEWEST_GROUPS": 1, "FEWEST_STRETCHES": 0, "TOGETHER_LINES": 4}}

CASES: tuple[Case, ...] = (
    # one segment, rows that do not fill a warp, fewer samples than taps
    {**_FLOAT, "sizes": (4, 5, 2), "shared": True},
    # segments: rows of several examples in a warp, or a warp a row; the last one shorter than what taps reach
    {**_FLOAT, "sizes": (2, 9, 516), "shared": True},
    {**_FLOAT, "sizes": (1, 34, 391), "shared": True, "reverse": True},
    {**_DOUBLE, "sizes": (6, 3, 64 * 5), "shared": True, "frozen": True},
    {**_DOUBLE, "sizes": (2, 9, 150), "a": "example", "b": "example", "reverse": True},
    # neighbouring channels next to each other
    {**_FLOAT, "sizes": (2, 35, 270), "layout": "TBC", "shared": True, "reverse": True},
    {**_FLOAT, "sizes": (2, 9, 300), "frozen": True, "layout": "TBC"},
    # all segments in one launch: a stretch of time and a bit, rows that do not fill a block
    {**_TOGETHER, "sizes": (3, 6, 700), "poles": (0.999, 0.99, 0.5, 0.3)},
    {**_TOGETHER, "sizes": (1, 18, 2051), "shared": True, "reverse": True, "poles": (1.1, 0.9, 0.5, 0.3)},
    # segments that forget their beginning, and a last one that is shorter than what they forget
    {**_FLOAT, "planned": {"FEWEST_LINES": 16}, "sizes": (1, 33, 652), "shared": True, "layout": "BTC"},
    # half types, mixed with complex
    {**_MIXED, "sizes": (2, 9, 203), "shared": True, "reverse": True},
    # rows more than 2^31 elements apart
    {**_FLOAT, "sizes": (2, 8, 40), "far": True},
    # ends in double, because of a pole near one; then refined starts
    {**_FLOAT, "sizes": (2, 9, 700), "poles": (0.999, 0.99, 0.5, 0.3)},
    {
        **_FLOAT,
        "sizes": (2, 9, 700),
        "poles": (0.999, 0.99, 0.5, 0.3),
        "shared": True,
        "layout": "BTC",
        "reverse": True,
    },
    {**_DOUBLE, "sizes": (2, 9, 500), "poles": (0.99, 0.9, 0.5), "shared": True, "layout": "TBC"},
    # powers that are too large: one lane runs the row; and what grows past any number, times nothing
    {**_FLOAT, "sizes": (2, 9, 400), "poles": (1.1, 0.9, 0.5, 0.3), "shared": True},
    {**_FLOAT, "sizes": (2, 9, 700), "poles": (1.6, 0.9, 0.5, 0.3), "silent": True},
    {**_FLOAT, "sizes": (1, 17, 100), "poles": (1.3, 0.5, 0.4, 0.3)},
    # one lane runs a row, beside one whose starts are refined
    {
        **_DOUBLE,
        "planned": {"FEWEST_LINES": 16},
        "sizes": (1, 17, 700),
        "poles": (0.999, 0.998, 0.99),
        "neighbour": (0.99, 0.98, 0.5),
    },
)

LONG: tuple[Case, ...] = (
    {**_FLOAT, "sizes": (3, 7, 70)},
    {**_FLOAT, "sizes": (3, 7, 644)},
    {**_DOUBLE, "sizes": (1, 17, 64 * 5 + 1)},
    {**_FLOAT, "sizes": (2, 9, 300), "layout": "BTC"},
    {**_DOUBLE, "sizes": (1, 17, 150), "layout": "BTC", "x_layout": "BCT"},
    {**_FLOAT, "sizes": (1, 17, 150), "x_layout": "BTC"},
    {**_FLOAT, "planned": {"FEWEST_LINES": 16}, "sizes": (2, 9, 650)},
    {**_MIXED, "sizes": (2, 9, 260)},
    {**_DOUBLE, "sizes": (2, 9, 500), "poles": (0.99, 0.9, 0.5)},
    {**_FLOAT, "sizes": (2, 9, 400), "poles": (1.1, 0.9, 0.5, 0.3)},
    {**_DOUBLE, "sizes": (2, 9, 500), "poles": (0.999, 0.998, 0.99)},
    {**_FLOAT, "planned": {"FEWEST_LINES": 1}, "sizes": (1, 16, 32 * 33 + 2)},
)
