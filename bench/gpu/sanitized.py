"""Small problems of every kind of kernel, for compute-sanitizer to watch."""

from __future__ import annotations

from here import use_checkout

use_checkout()

import torch  # noqa: E402

import multirec as mr  # noqa: E402


def main() -> None:
    """Compute forward and backward once for each path, layout and direction."""
    for layout, shape in (("BCT", (2, 3, 700)), ("BTC", (2, 700, 3)), ("TBC", (700, 2, 3)), ("BCT", (1, 2, 9000))):
        for order in (1, 2, 20):
            for shared in (False, True):
                x = torch.randn(shape, device="cuda")
                axis = 1 if layout == "BCT" else -1
                x = (x.narrow(axis, 0, 1) if shared else x).requires_grad_()
                a = (0.5 / order * torch.randn(3 if shape[0] != 1 else 2, order, device="cuda")).requires_grad_()
                y, _ = mr.recurrence(x, feedback=a, layout=layout, reverse=shared, backend="cupy")
                y.backward(torch.randn_like(y))
    x = torch.randn(2, 3, 700, device="cuda", requires_grad=True)
    gate = torch.rand(2, 3, 700, 1, device="cuda", requires_grad=True)
    mr.recurrence(x, feedback=gate, backend="cupy")[0].sum().backward()
    torch.cuda.synchronize()


if __name__ == "__main__":
    main()
