"""What the channel-last kernels are tried with: `LONG` takes minutes, and is not for every run of the tests."""

from __future__ import annotations

from .parts import Case

_LONG = frozenset(
    {
        "float,float,float,float,0,2,false,false,32,true",
        "float,float,float,float,1,1,false,true,16,true",
        "float,Complex<float>,Complex<float>,float,1,0,false,false,16,false",
        "Complex<double>,Complex<double>,Complex<double>,Complex<double>,2,1,false,false,8,true",
        "Complex<float>,Complex<float>,Complex<float>,Complex<float>,1,0,false,true,8,true",
        "Two<Half>,Two<Half>,Two<float>,Two<float>,1,2,true,false,16,false",
        "Two<Half>,Two<Half>,Two<float>,Two<float>,1,0,false,true,16,false",
        "Half,Two<Half>,Two<float>,Two<float>,2,2,false,false,32,true",
        "float,float,float,float,4,3,false,false,16,false",
    }
)
_SHORT = frozenset(
    {
        "float,float,float,float,2,2,false,false,32,true",
        "float,float,float,float,2,2,false,false,32,false",
        "float,float,float,float,1,0,false,true,16,false",
        "double,double,double,double,2,1,false,false,16,false",
        "Two<Half>,Two<Half>,Two<float>,Two<float>,2,2,false,false,24,false",
    }
)
BUILT = frozenset(f"channels_forward<{arguments}>" for arguments in _SHORT | _LONG)

CASES: tuple[Case, ...] = (
    # several tiles, and rows that do not fill a block, by example and over all examples
    {"sizes": (1, 35, 530), "layout": "BTC", "shared": True},
    {"sizes": (3, 12, 530), "layout": "BTC", "reverse": True},
    {"sizes": (9, 4, 3), "layout": "TBC"},
    # feedback that varies, and where it grows
    {"sizes": (2, 18, 300), "layout": "BTC", "p": 1, "q": 0, "a": "varying"},
    {"sizes": (2, 18, 300), "layout": "TBC", "p": 1, "q": 0, "a": "gate", "growing": True},
    # careful rows, and rows in turn
    {"sizes": (1, 33, 530), "layout": "BTC", "poles": (0.999, 0.998)},
    {"sizes": (1, 33, 530), "layout": "BTC", "poles": (1.6, 0.5), "silent": True},
    {"sizes": (1, 33, 270), "layout": "BTC", "dtype": "float64", "q": 1, "poles": (0.99, 0.98)},
    # two channels a lane: words of both, and one by one
    {"sizes": (2, 34, 530), "layout": "BTC", "dtype": "float16"},
    {"sizes": (1, 35, 410), "layout": "BTC", "dtype": "float16", "reverse": True},
)
LONG: tuple[Case, ...] = (
    {"sizes": (2, 33, 1100), "layout": "TBC", "shared": True, "reverse": True},
    {"sizes": (1, 36, 3), "layout": "BTC", "x_layout": "BCT"},
    {"sizes": (1, 36, 1), "layout": "BTC", "shared": True},
    {"sizes": (2, 34, 600), "layout": "BTC", "frozen": True},
    {"sizes": (2, 18, 36), "layout": "BTC", "far": True},
    # segments in time
    {"sizes": (1, 33, 256 * 16 + 5), "layout": "BTC", "p": 4, "q": 3, "poles": (0.99, 0.9, 0.5, 0.1)},
    {"sizes": (1, 33, 256 * 16 + 5), "layout": "BTC", "shared": True},
    {"sizes": (1, 33, 512 * 16), "layout": "TBC", "poles": (1.02, 0.5), "shared": True},
    {"sizes": (1, 33, 512 * 16), "layout": "TBC", "poles": (0.9, 0.5), "shared": True},
    {"sizes": (1, 33, 512 * 16 + 2), "layout": "BTC", "p": 0, "shared": True, "reverse": True},
    {"sizes": (1, 33, 256 * 16 + 3), "layout": "BTC", "p": 1, "q": 0, "a": "varying"},
    {"sizes": (1, 33, 256 * 16), "layout": "BTC", "p": 1, "q": 0, "a": "varying", "growing": True, "reverse": True},
    # feedforward that reaches further than feedback, and varies
    {"sizes": (1, 34, 600), "layout": "BTC", "p": 1, "dtype": "float16", "b": "varying"},
    {"sizes": (1, 34, 600), "layout": "BTC", "p": 1, "dtype": "float16", "b": "gate", "frozen": True, "reverse": True},
    # two channels a lane: the last has one, of the next example, or begins in the midst of a word
    {"sizes": (2, 33, 600), "layout": "BTC", "dtype": "float16", "shared": True},
    {"sizes": (1, 65, 300), "layout": "TBC", "dtype": "float16", "shared": True, "reverse": True},
    {"sizes": (3, 33, 530), "layout": "TBC", "dtype": "float16"},
    {"sizes": (2, 36, 410), "layout": "BTC", "dtype": "float16", "x_sliced": True, "frozen": True},
    {"sizes": (1, 36, 3), "layout": "BTC", "dtype": "float16", "x_layout": "BCT"},
    {"sizes": (2, 18, 36), "layout": "BTC", "dtype": "float16", "far": True},
    {"sizes": (1, 33, 600), "layout": "BTC", "dtype": "float16", "poles": (0.999, 0.998)},
    {"sizes": (1, 33, 600), "layout": "BTC", "dtype": "float16", "poles": (1.6, 0.5), "silent": True},
    {"sizes": (1, 35, 384 * 16 + 5), "layout": "BTC", "dtype": "float16", "poles": (0.9, 0.8)},
    {"sizes": (1, 33, 512 * 16 + 5), "layout": "BTC", "dtype": "float16", "poles": (0.9, 0.8), "shared": True},
    {"sizes": (1, 33, 512 * 16 + 5), "layout": "BTC", "dtype": "float16", "poles": (1.02, 0.5), "shared": True},
    {"sizes": (3, 35, 600), "layout": "BTC", "dtype": "float16", "p": 1, "q": 0, "a": "varying"},
    {"sizes": (2, 34, 600), "layout": "BTC", "dtype": "float16", "p": 1, "q": 0, "a": "varying", "reverse": True},
    {"sizes": (3, 34, 600), "layout": "TBC", "dtype": "float16", "p": 1, "q": 0, "a": "gate", "growing": True},
    {"sizes": (1, 35, 256 * 16 + 3), "layout": "BTC", "dtype": "float16", "p": 1, "q": 0, "a": "varying"},
    # coefficients of an example, what grows past any number times nothing, and what is not finite beyond its row's end
    {"sizes": (2, 18, 600), "layout": "TBC", "p": 1, "q": 0, "a": "gate", "growing": True, "frozen": True},
    {"sizes": (1, 33, 600), "layout": "BTC", "p": 1, "q": 0, "a": "varying", "poles": (1.6,), "silent": True},
    {"sizes": (2, 33, 530), "layout": "BTC", "a": "example", "shared": True},
    {"sizes": (1, 33, 100), "layout": "BTC", "poles": (1.3, 0.5)},
    {"sizes": (1, 33, 600), "layout": "BTC", "poles": (1.02, 0.5)},
    # what is careful in other types and orders, and where nothing is
    {"sizes": (1, 33, 1100), "layout": "BTC", "poles": (0.999, 0.998), "shared": True},
    {"sizes": (1, 33, 300), "layout": "TBC", "dtype": "float64", "q": 1, "poles": (0.9, 0.5), "reverse": True},
    {"sizes": (1, 33, 300), "layout": "BTC", "dtype": "complex128", "q": 1, "poles": (0.99, 0.98), "shared": True},
    {"sizes": (1, 33, 300), "layout": "BTC", "dtype": "complex64", "p": 1, "q": 0, "a": "varying", "shared": True},
    {"sizes": (2, 33, 300), "layout": "BTC", "p": 1, "q": 1, "a": "varying", "shared": True, "reverse": True},
    {"sizes": (2, 18, 300), "layout": "TBC", "b_dtype": "complex64", "p": 1, "q": 0},
    {"sizes": (1, 33, 600), "layout": "BTC", "p": 4, "q": 3},
    {"sizes": (1, 33, 600), "layout": "BTC", "p": 4, "q": 3, "poles": (0.95, 0.94, 0.9, 0.5)},
)
