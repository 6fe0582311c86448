"""The kernel of torch_loop against the oracle, on canonical operands."""

from __future__ import annotations

from canonical import KernelTests
from multirec_backends.torch_loop._kernel import kernel


class TestTorchLoop(KernelTests):
    kernel = kernel
    gated_order = 2
