"""The kernels' cases for compute-sanitizer to watch: every array an allocation of its own."""

from __future__ import annotations

import cupy

from .kernels import SMALL, check


def main() -> None:
    """Compute the small cases; those with rows far apart would take too much memory."""
    # not the pool's: then the end of an array is the end of its memory
    cupy.cuda.set_allocator(None)
    for case in SMALL:
        if not case.get("far"):
            print(case, list(check(case)), flush=True)


if __name__ == "__main__":
    main()
