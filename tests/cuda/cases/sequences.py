"""Several sequences in one row of time: arguments of `packed.Packed`, of kernels that are built for the tests."""

from __future__ import annotations

from .parts import Case

_GATES: Case = {"p": 1, "q": 0, "a": "varying", "b": ""}
_DRIVEN: Case = {"p": 1, "q": 0, "a": "varying", "b": "varying"}
_BANK: Case = {"p": 2, "q": 2}
_WALKED = ("float,float,float,float,2,2", "Half,Half,float,float,2,2", "float,Complex<float>,Complex<float>,float,1,2")
BUILT = frozenset(f"sequences_walk_forward<{arguments}>" for arguments in _WALKED) | frozenset(
    f"sequences_gates_forward<{arguments}>"
    for arguments in (
        "float,float,float,float,false",
        "float,float,float,float,true",
        "double,double,double,double,false",
        "Half,Half,float,float,false",
        "Complex<float>,Complex<float>,Complex<float>,Complex<float>,true",
        "Complex<double>,Complex<double>,Complex<double>,Complex<double>,false",
    )
)
SHORT: tuple[Case, ...] = (
    _GATES | {"layout": "BTC", "channels": 35},
    _GATES | {"layout": "TBC", "channels": 9, "counted": True, "reverse": True},
    _GATES | {"layout": "BTC", "channels": 33, "reverse": True, "stateless": True},
    _GATES | {"layout": "BTC", "channels": 34, "counted": True, "loud": True},
    _GATES | {"layout": "BTC", "channels": 34, "reverse": True, "loud": True, "a": "gate"},
    _BANK | {"layout": "BTC", "channels": 5, "shared": True},
    _BANK | {"channels": 4, "counted": True, "reverse": True, "shared": True},
    {"p": 3, "q": 1, "a": "varying", "b": "gate", "channels": 3, "reverse": True},
    {"p": 1, "q": 3, "a": "gate", "b": "varying", "channels": 3, "counted": True},
)
LONG: tuple[Case, ...] = (
    _GATES | {"layout": "BTC", "channels": 40, "dtype": "float16"},
    _GATES | {"layout": "TBC", "channels": 40, "dtype": "float64", "counted": True},
    _GATES | {"layout": "BTC", "channels": 40, "a": "static"},
    _GATES | {"layout": "BTC", "channels": 40, "dtype": "complex128", "reverse": True, "a": "gate"},
    _DRIVEN | {"layout": "BTC", "channels": 40},
    _DRIVEN | {"layout": "BTC", "channels": 40, "counted": True, "reverse": True, "b": "gate"},
    _DRIVEN | {"layout": "TBC", "channels": 40, "dtype": "complex64", "b": "static"},
    _DRIVEN | {"layout": "BTC", "channels": 8, "a": "example", "b": "example"},
    {"p": 0, "q": 3, "channels": 3},
    {"p": 5, "q": 0, "b": "", "channels": 3, "layout": "TBC", "counted": True},
    {"p": 2, "q": 2, "dtype": "float16", "channels": 3, "reverse": True},
    {"p": 3, "q": 2, "dtype": "complex64", "channels": 3, "counted": True},
    {"p": 2, "q": 1, "dtype": "complex128", "a": "varying", "b": "varying", "channels": 3},
    {"p": 1, "q": 2, "b_dtype": "complex64", "channels": 3, "shared": True, "counted": True},
    {"p": 4, "q": 4, "dtype": "float64", "channels": 3, "a": "gate", "b": "example", "reverse": True},
    {"p": 1, "q": 0, "b": "", "channels": 3, "layout": "BTC"},
    {"p": 0, "q": 4, "dtype": "float64", "channels": 35, "layout": "BTC", "reverse": True},
    {"p": 70, "q": 2, "channels": 1, "counted": True},
)
