"""Compile a model with a bank ahead of time, by AOTInductor, and run it in a process that knows only the package.

Compiling needs a C++ compiler.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from multirec import nn

RUN = """
import sys, torch
import multirec  # registers the operator that the package calls

run = torch._inductor.aoti_load_package(sys.argv[1])
torch.save(run(torch.load(sys.argv[2])), sys.argv[3])
"""


class Features(torch.nn.Module):
    """The power in each of sixteen bands, [B, T] -> [B, 16]."""

    def __init__(self) -> None:
        super().__init__()
        self.bank = nn.BandpassBank(16, sample_rate=16_000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mean square of each filter's output."""
        y, _ = self.bank(x)
        return y.square().mean(-1)


def main() -> float:
    """Compile, run in another process, and return the largest difference from the model itself, relative."""
    model = Features().eval()
    time = torch.export.Dim("time", min=16, max=1 << 20)
    program = torch.export.export(model, (torch.randn(2, 1600),), dynamic_shapes=({1: time},))
    x = torch.randn(2, 3000)
    with tempfile.TemporaryDirectory() as folder:
        package, given, found = (str(Path(folder) / name) for name in ("features.pt2", "x.pt", "y.pt"))
        torch._inductor.aoti_compile_and_package(program, package_path=package)
        torch.save(x, given)
        subprocess.run([sys.executable, "-c", RUN, package, given, found], check=True)
        y, expected = torch.load(found), model(x)
    error = ((y - expected).abs().max() / expected.abs().max()).item()
    print(f"{tuple(x.shape)} -> {tuple(y.shape)}, relative difference {error:.1e}")
    return error


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
