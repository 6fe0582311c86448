"""How many threads of a kernel there may be, and where it matters how many blocks: what the compiler shares out."""

from __future__ import annotations

from collections.abc import Callable

_WORDS = {"double": 2, "Complex<float>": 2, "Complex<double>": 4}
"""Registers that a number takes, where it takes more than one."""
FEW_WORDS = 48
"""Registers for taps, past values and sums of a lane, of which 16 warps fit on a processor."""


def kind_of(kernel: str) -> str:
    """Return the first word of a kernel's name.

    >>> kind_of("tiles_forward<float>")
    'tiles'
    """
    return kernel.partition("<")[0].partition("_")[0]


def launch_bounds(kernel: str) -> str:
    """Return the most threads of a block, and maybe the fewest blocks that are to fit on a processor, for a C++ name.

    >>> launch_bounds("tiles_forward<float,float,float,float,2,2,false,false,64>")
    '256, 3'
    """
    name, _, arguments = kernel.partition("<")
    return BOUNDS[kind_of(kernel)](name, arguments.rstrip(">").split(","))


def most_threads(kernel: str) -> int:
    """Return the most threads of a block."""
    return int(launch_bounds(kernel).partition(",")[0])


def _tiles(name: str, arguments: list[str]) -> str:
    order, input_order, _, _, lane = arguments[4:9]
    taps = int(order) + int(input_order)
    if taps > 8:
        return "128"
    # a short filter with few samples and a state of four numbers fits in 80 registers, and three blocks on a processor
    numbers = int(order) * (2 if "Complex" in ",".join(arguments) else 1)
    fits = name == "tiles_forward" and taps <= 4 and numbers <= 4 and lane == "64" and "true" not in arguments
    return "256, 3" if fits else "256, 2"


def _carry(name: str, arguments: list[str]) -> str:
    numbers = 1 if name == "carry_varying" else int(arguments[2])
    return "512" if numbers * (2 if "Complex" in ",".join(arguments) else 1) <= 4 else "128"


def _lanes(name: str, arguments: list[str]) -> str:
    if name == "lanes_trust":
        return "256"
    if name == "lanes_together":
        return "256, 2"
    if name not in ("lanes_forward", "lanes_backward"):
        return "32"
    return f"32, {warps_of_lanes(int(arguments[4]), int(arguments[5]), 4 * _WORDS.get(arguments[1], 1))}"


def words_of_lanes(order: int, input_order: int, value: int) -> int:
    """Return the registers that taps, past values and sums of a lane take, of values of so many bytes."""
    return value // 4 * (2 * order + max(order, input_order) + 2 * (input_order + 1))


def warps_of_lanes(order: int, input_order: int, value: int) -> int:
    """Return how many warps of lane-serial kernels should fit on a processor."""
    words = words_of_lanes(order, input_order, value)
    return 16 if words <= FEW_WORDS else 12 if words <= 96 else 8


def _channels(name: str, arguments: list[str]) -> str:
    y_type, words = arguments[1], _WORDS.get(arguments[1], 1)
    if y_type.startswith("Two"):
        return "256"  # the registers of two
    forward = name == "channels_forward" and words == 1
    few = 2 if y_type in ("Half", "BFloat") else 4
    taps = int(arguments[4]) + int(arguments[5])
    return "512" if forward or (words < 4 and taps * words <= few) else "256"


def _products(name: str, arguments: list[str]) -> str:
    # left to itself, the compiler spills to have more blocks than these need
    return "128" if name in ("products_carry", "products_frames") else "32, 8"


def _sequences(name: str, arguments: list[str]) -> str:
    if not name.startswith("sequences_gates"):
        return "32"
    return "256" if _WORDS.get(arguments[1], 1) == 4 else "512"


BOUNDS: dict[str, Callable[[str, list[str]], str]] = {
    "tiles": _tiles,
    "carry": _carry,
    "lanes": _lanes,
    "channels": _channels,
    "products": _products,
    "sequential": lambda name, arguments: "32",
    "sequences": _sequences,
    "activated": lambda name, arguments: "32",
    "fold": lambda name, arguments: "1024",
}
