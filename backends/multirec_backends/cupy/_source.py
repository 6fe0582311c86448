"""The CUDA source of a kernel as one text, so that the compiler's cache is keyed by all of it."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

from ._plan.bounds import kind_of, launch_bounds

ENTRY = "multirec_kernel"
OPTIONS = ("-std=c++17",)

_ALL = ("values", "problem", "samples", "sum_x", "powers", "ring", "marks")
_KINDS = {
    "tiles": ("tile", "move", "solve", "item", "sum_rows", "forward", "backward"),
    "lanes": ("lines", "carry", "forward", "together", "backward"),
    "channels": ("two", "block", "source", "means", "hand", "forward", "backward"),
    "products": ("stage", "ends", "forward", "frames", "backward"),
    "carry": (),
    "sequential": (),
    "sequences": ("general", "walk", "gates"),
    "activated": ("cells", "strips", "forward", "backward"),
    "fold": (),
}
"""The files of a kind of kernels, by the first word of their names: in a folder, or one of that name."""
_PARAMS = {"fold": "Fold", "activated": "Activated"}


@lru_cache
def library_source(kind: str | None = None, device: bool = True) -> str:
    """Return the templates of one kind of kernels, or of all; without `device`, the device's part is left out."""
    kinds = [kind] if kind else list(_KINDS)
    own = [f"{kind}/{name}" for kind in kinds for name in _KINDS[kind]] + [kind for kind in kinds if not _KINDS[kind]]
    folder = files(__package__).joinpath("source")
    names = [*(["device"] if device else []), *_ALL, *own]
    return "\n".join(folder.joinpath(f"{name}.cuh").read_text(encoding="utf-8") for name in names)


def kernel_source(name: str, entry: str = ENTRY) -> str:
    """Return the definition of the kernel that runs the template instance `name`; it follows `library_source`."""
    threads = launch_bounds(name)
    return f'extern "C" __global__ void __launch_bounds__({threads}) {entry}(const {params(name)} p) {{ {name}(p); }}\n'


def whole_source(name: str) -> str:
    """Return all that compiles to the kernel `name`."""
    return library_source(kind_of(name)) + kernel_source(name)


def params(name: str) -> str:
    """Return the structure that a kernel takes."""
    return _PARAMS.get(kind_of(name), "Problem")
