"""What time-varying feedback of order 2 and above is tried with."""

from __future__ import annotations

from .parts import Case

BUILT = frozenset(
    f"products_forward<{arguments}>"
    for arguments in ("float,float,float,float,2", "float,float,float,float,3", "double,double,double,double,2")
)

_VARYING: Case = {"p": 3, "q": 1, "a": "varying"}
CASES: tuple[Case, ...] = tuple(
    _VARYING | case
    for case in (
        # one segment, and rows that do not fill a warp
        {"sizes": (2, 5, 97), "b": "varying"},
        {"sizes": (2, 3, 40), "b": "gate", "layout": "BTC", "reverse": True},
        {"sizes": (1, 3, 130), "p": 2, "q": 3, "layout": "TBC", "shared": True},
        {"sizes": (2, 3, 2)},
        # segments
        {"sizes": (2, 1, 700)},
        {"sizes": (1, 3, 611), "b": "varying", "layout": "BTC", "reverse": True, "shared": True},
        {"sizes": (1, 2, 640), "q": 0, "a": "gate"},
        {"sizes": (1, 2, 600), "q": 3, "layout": "TBC", "frozen": True},
        {"sizes": (1, 2, 555), "dtype": "float64", "p": 2},
        {"sizes": (2, 2, 530), "far": True},
        # one of the rows has products that are too large
        {"sizes": (1, 3, 600), "poles": (1.7, 0.5, 0.2)},
        {"sizes": (1, 3, 600), "poles": (2.0, 0.5, 0.2), "silent": True},
        {"sizes": (1, 2, 600), "dtype": "float64", "p": 2, "poles": (1.3, 0.5)},
    )
)
FURTHER: tuple[Case, ...] = tuple(
    _VARYING | case
    for case in (
        {"sizes": (1, 2, 600), "dtype": "float16"},
        {"sizes": (1, 2, 520), "dtype": "complex64", "reverse": True},
        {"sizes": (2, 2, 520), "dtype": "complex128", "p": 2, "q": 5, "b": "varying"},
        {"sizes": (1, 2, 520), "b_dtype": "complex64", "layout": "BTC"},
        {"sizes": (3, 1, 530), "p": 5, "q": 2, "shared": True},
        {"sizes": (1, 2, 530), "p": 16, "q": 16},
        {"sizes": (1, 2, 514), "p": 9, "q": 0, "dtype": "float64"},
        {"sizes": (1, 5, 600), "growing": True},
        # what tiles do not compute of constant feedback
        {"sizes": (1, 2, 530), "p": 20, "q": 18, "a": "static", "shared": True},
        {"sizes": (2, 1, 520), "p": 31, "q": 2, "a": "example", "reverse": True},
        {"sizes": (1, 2, 520), "p": 1, "q": 19, "a": "static", "dtype": "float64"},
    )
)
"""Other types and orders, which are tried without the sanitizers."""
