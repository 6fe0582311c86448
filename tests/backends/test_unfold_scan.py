"""The kernel of unfold_scan against the oracle, and against torch_loop where rounding and overflow matter."""

from __future__ import annotations

from canonical import KernelTests
from multirec_backends.unfold_scan._kernel import kernel


class TestUnfoldScan(KernelTests):
    kernel = kernel
    gated_order = 1
