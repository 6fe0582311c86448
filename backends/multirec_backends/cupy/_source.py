"""The CUDA source of a kernel as one text, so that the compiler's cache is keyed by all of it."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

_FILES = (
    *("device", "values", "filter", "scan", "solve"),
    *("item", "forward", "shared_x", "backward", "fold", "sequential"),
)

ENTRY = "multirec_kernel"
OPTIONS = ("-std=c++17",)


@lru_cache(maxsize=2)
def library_source(device: bool = True) -> str:
    """Return the source of all kernels, as templates; without `device`, something else defines what a device does."""
    folder = files(__package__).joinpath("source")
    names = _FILES if device else _FILES[1:]
    return "\n".join(folder.joinpath(f"{name}.cuh").read_text(encoding="utf-8") for name in names)


def kernel_source(name: str, entry: str = ENTRY) -> str:
    """Return the definition of the kernel that runs the template instance `name`; it follows `library_source`."""
    params = "Fold" if name.startswith("fold") else "Problem"
    threads = launch_bounds(name)
    return f'extern "C" __global__ void __launch_bounds__({threads}) {entry}(const {params} p) {{ {name}(p); }}\n'


def launch_bounds(name: str) -> str:
    """Return the most threads of a block, and where it matters the fewest blocks that should fit on a processor."""
    kind, _, arguments = name.partition("<")
    if kind == "fold":
        return "256"
    if kind not in ("forward", "backward"):
        return "32"
    order, input_order, _, _, lane, *_ = arguments.rstrip(">").split(",")[4:]
    taps = int(order) + int(input_order)
    if taps > 8:
        return "128"
    # a short filter with few samples and a state of four numbers fits in 80 registers, and three blocks on a processor
    numbers = int(order) * (2 if "Complex" in arguments else 1)
    fits = kind == "forward" and taps <= 4 and numbers <= 4 and lane == "64" and "true" not in arguments
    return "256, 3" if fits else "256, 2"
