"""Other packages' kernels for gates, on W5 in the layout that each is made for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch

from ..items import SkippedError
from ..results import Row
from .beside import compared, forward_row
from .specs import W5
from .workloads import Workload

Call = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Scan(NamedTuple):
    """A function of x and gates, or of x and the logarithms of gates, in a module of a package."""

    package: str
    module: str
    name: str
    layout: str
    logarithms: bool = False

    def load(self) -> Call:
        """Return the function of x and gates."""
        if not find_spec(self.package):
            raise SkippedError(f"{self.package} is not installed")
        function: Callable[..., Any] = getattr(import_module(self.module), self.name)
        if self.logarithms:
            return lambda x, gates: function(x, gates)[0]
        return lambda x, gates: function(gates, x)


SCANS = {
    "accelerated-scan scalar": Scan("accelerated_scan", "accelerated_scan.scalar", "scan", "BCT"),
    "fla chunk_hgrn": Scan("fla", "fla.ops.hgrn", "chunk_hgrn", "BTC", logarithms=True),
    "fla fused_recurrent_hgrn": Scan("fla", "fla.ops.hgrn", "fused_recurrent_hgrn", "BTC", logarithms=True),
    # at last: it is compiled when it is imported
    "accelerated-scan warp": Scan("accelerated_scan", "accelerated_scan.warp", "scan", "BCT"),
}


def rows(name: str) -> Iterator[Row]:
    """Check and time a scan forward and with the gradients of x and of gates, next to our own call."""
    scan = SCANS[name]
    call = scan.load()
    workload = Workload(replace(W5, layout=scan.layout))
    x, gates = (leaf.detach().clone() for leaf in workload.leaves)
    gates = gates[..., 0].log() if scan.logarithms else gates[..., 0]
    leaves = tuple(leaf.contiguous().requires_grad_() for leaf in (x, gates))
    with torch.no_grad():
        yield forward_row(lambda: call(*leaves), workload)
    gradient = torch.randn_like(workload.x)
    yield {"mode": "forward+backward"} | compared(
        lambda: torch.autograd.grad(call(*leaves), leaves, gradient),
        lambda: torch.autograd.grad(workload.forward(), workload.leaves, gradient),
        workload.spec.least_bytes["forward+backward"],
    )
