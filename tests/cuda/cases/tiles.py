"""What the tile kernels are tried with, and with them the sequential ones."""

from __future__ import annotations

from .parts import Case

_ARGUMENTS = frozenset(
    {
        "float,float,float,float,2,2,false,false",
        "float,float,float,float,1,0,false,true",
        "float,float,float,float,1,1,false,true",
        "float,float,float,float,2,2,true,false",
        "float,float,float,float,0,2,false,false",
        "float,float,float,float,9,9,false,false",
        "double,double,double,double,3,1,false,false",
        "Half,Half,float,float,2,2,false,false",
        "BFloat,BFloat,float,float,2,2,false,false",
        "Half,Complex<float>,Complex<float>,float,1,0,false,false",
        "float,Complex<float>,Complex<float>,float,2,2,false,false",
        "Complex<double>,Complex<double>,Complex<double>,Complex<double>,5,6,false,false",
    }
)
BUILT = frozenset(f"tiles_forward<{arguments},{lane}>" for arguments in _ARGUMENTS for lane in (64, 128))

CASES: tuple[Case, ...] = (
    # several tiles, and rows that do not fill a block
    {"sizes": (2, 9, 1032), "shared": True},
    {"sizes": (1, 9, 1030), "layout": "BTC", "reverse": True},
    {"sizes": (2, 5, 1027), "layout": "TBC", "shared": True, "reverse": True},
    # x along one axis and its gradient along the other
    {"sizes": (1, 9, 1030), "layout": "BTC", "x_layout": "BCT"},
    {"sizes": (1, 9, 1030), "x_layout": "BTC"},
    # rows that begin anywhere, each signal's elsewhere
    {"sizes": (1, 5, 1031), "x_layout": "sliced"},
    {"sizes": (2, 3, 1033), "x_layout": "sliced", "shared": True},
    {"sizes": (1, 9, 1037), "dtype": "float16", "x_layout": "sliced"},
    {"sizes": (2, 9, 523), "dtype": "float16", "shared": True},
    {"sizes": (1, 4, 531), "p": 1, "q": 0, "a": "varying", "x_layout": "sliced"},
    # segments in time
    {"sizes": (1, 2, 512 * 18 + 3)},
    {"sizes": (2, 1, 512 * 17), "layout": "TBC", "reverse": True, "shared": True},
    {"sizes": (1, 2, 512 * 9 + 4), "p": 0},
    {"sizes": (1, 2, 256 * 9 + 3), "dtype": "float64", "p": 3, "q": 1},
    {"sizes": (1, 3, 512 * 9), "poles": (1.02, 0.5)},
    # finite to its end, but not to the end of its tile
    {"sizes": (1, 3, 100), "poles": (1.3, 0.5)},
    # powers that lose what double has, unless they are computed step by step; and, so large that lanes take turns
    {"sizes": (1, 2, 600), "dtype": "float64", "p": 3, "q": 1, "poles": (0.9, 0.88, 0.86)},
    {"sizes": (1, 2, 600), "dtype": "float64", "p": 3, "q": 1, "poles": (0.95, 0.94, 0.93)},
    # no rows, whether x has any or not
    {"sizes": (2, 0, 5)},
    {"sizes": (2, 0, 5), "shared": True, "p": 20},
    # rows more than 2^31 elements apart
    {"sizes": (2, 2, 36), "far": True},
    {"sizes": (2, 34, 3), "far": True, "p": 20},
    # coefficients that change
    {"sizes": (2, 3, 600), "p": 1, "q": 0, "a": "varying"},
    {"sizes": (1, 9, 520), "p": 1, "q": 0, "a": "varying", "layout": "BTC", "reverse": True, "shared": True},
    {"sizes": (2, 3, 515), "p": 1, "q": 0, "a": "gate", "growing": True},
    {"sizes": (1, 2, 512 * 9 + 3), "p": 1, "q": 1, "a": "varying"},
    {"sizes": (1, 3, 512 * 8 + 1), "p": 1, "q": 0, "a": "varying", "growing": True, "layout": "TBC", "reverse": True},
    # what grows past any number, times nothing
    {"sizes": (1, 3, 512 * 9), "p": 1, "q": 1, "a": "varying", "poles": (1.6,), "silent": True},
    {"sizes": (1, 3, 512 * 9), "poles": (1.6, 0.5), "silent": True},
    {"sizes": (2, 3, 515), "b": "varying", "shared": True, "layout": "TBC"},
    {"sizes": (2, 3, 515), "b": "gate", "a": "example", "reverse": True},
    # orders above what a lane holds, and what the fast kernels do not compute
    {"sizes": (1, 3, 130), "dtype": "complex128", "p": 5, "q": 6, "shared": True},
    {"sizes": (1, 3, 532), "p": 9, "q": 9},
    {"sizes": (1, 34, 40), "p": 20, "q": 18, "shared": True},
    {"sizes": (2, 3, 40), "p": 3, "q": 1, "a": "varying", "b": "gate", "layout": "BTC", "reverse": True},
    {"sizes": (2, 3, 300), "dtype": "float64", "p": 3, "q": 1},
    {"sizes": (2, 3, 520), "b_dtype": "complex64"},
    {"sizes": (2, 3, 520), "dtype": "float16", "shared": True},
    {"sizes": (1, 3, 1500), "dtype": "float16", "poles": (0.99, 0.98)},
    # feedforward needs no gradient, so x is not there
    {"sizes": (2, 3, 1030), "frozen": True},
    {"sizes": (1, 9, 520), "p": 1, "q": 0, "a": "varying", "layout": "BTC", "reverse": True, "frozen": True},
    {"sizes": (1, 34, 40), "p": 20, "q": 18, "frozen": True},
    {"sizes": (2, 3, 520), "dtype": "float16", "frozen": True, "layout": "TBC", "reverse": True},
    # filters that a scan is not exact enough for: in tiles, and in segments
    {"sizes": (1, 3, 1500), "poles": (0.999, 0.998)},
    {"sizes": (1, 3, 1500), "poles": (0.999, 0.998), "layout": "BTC", "shared": True},
    {"sizes": (1, 2, 512 * 17 + 5), "poles": (0.9999, 0.999), "reverse": True},
    {"sizes": (1, 3, 600), "dtype": "float64", "p": 3, "q": 1, "poles": (0.9, 0.88, 0.5)},
    {"sizes": (1, 2, 256 * 9 + 3), "dtype": "float64", "p": 3, "q": 1, "poles": (0.99, 0.9, 0.5), "reverse": True},
    # two samples of a half type where y has two: four bytes at once
    {"sizes": (1, 3, 516), "dtype": "float16", "b_dtype": "complex64", "p": 1, "q": 0},
)
