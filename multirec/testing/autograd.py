"""A second oracle: the recurrence as a plain loop over samples in torch float64, differentiated by autograd itself.

It shares nothing with the reference's adjoint, nor with `multirec.adjoint`.
"""

from __future__ import annotations

import importlib
from typing import Any

from ._canonical import canonical_arguments, user_results
from ._rounding import Results
from .problems import Case, Wide, arguments

__all__ = ["expected_by_autograd"]


def expected_by_autograd(case: Case) -> dict[str, Wide]:
    """Return the values and gradients of a case by name, as `Expected.values` has them.

    Example
    -------
    >>> from multirec.testing import Case
    >>> sorted(expected_by_autograd(Case(feedback="none", state="none", length=3)))[:2]
    ['gradient of feedforward', 'gradient of x']
    """
    torch: Any = importlib.import_module("torch")
    given = canonical_arguments(case, arguments(case))
    names = ("x", "feedforward", "feedback", "inputs", "outputs")
    x, b, a, inputs, outputs = leaves = [
        torch.from_numpy(getattr(given, name).copy()).requires_grad_() for name in names
    ]
    p, q, length = case.p, case.q, case.length
    whole_x = torch.cat([inputs, x], -1)
    samples = list(outputs.unbind(-1))
    for t in range(length):
        sample = sum(b[:, :, t, j] * whole_x[..., t + q - j] for j in range(q + 1))
        samples.append(sample + sum(a[:, :, t, k - 1] * samples[t + p - k] for k in range(1, p + 1)))
    whole_y = torch.stack(samples, -1) if samples else outputs
    parts = (whole_y[..., p:], whole_x[..., length:], whole_y[..., length:])
    cotangents = (given.grad_y, given.grad_inputs, given.grad_outputs)
    total = sum(
        (part * torch.from_numpy(cotangent.copy()).conj()).sum().real
        for part, cotangent in zip(parts, cotangents, strict=True)
    )
    grads = [
        torch.zeros_like(leaf) if grad is None else grad
        for leaf, grad in zip(leaves, torch.autograd.grad(total, leaves, allow_unused=True), strict=True)
    ]
    grad_x, grad_b, grad_a, grad_inputs, grad_outputs = grads
    results = (whole_x, whole_y, torch.cat([grad_inputs, grad_x], -1), grad_outputs, grad_b, grad_a)
    return user_results(case, Results(*(part.detach().resolve_conj().numpy() for part in results)))
