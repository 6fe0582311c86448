"""Coefficients of plain weights by few operations, with derivatives in closed form.

On a GPU the pace of a small training step is that of Python: each operation takes longer to ask for than to compute.
So a formula is written twice. As a composition of what torch differentiates, which is for transforms, modes,
subclasses, compilers and second derivatives; and as one operation each way, with the same values bit by bit. Neither
looks at values on the host, so that a step can be captured into a CUDA graph.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from multirec._torch.door import ANYTHING, GRADIENT, wanted_of
from multirec._torch.eager import is_batched
from multirec._torch.function import transformed

__all__ = ["Formula", "Tensors", "coefficients"]

Tensors: TypeAlias = tuple[Tensor, ...]


class Formula(Protocol):
    """Coefficients as a function of weights."""

    def composed(self, weights: Tensors) -> Tensors:
        """Return the coefficients by operations that torch differentiates."""

    def applies(self, weights: Tensors) -> bool:
        """Whether `run` takes these weights now."""

    def run(self, weights: Tensors) -> tuple[Tensors, Tensors]:
        """Return the same coefficients, sharing no memory with weights, and what `pull` is to be given."""

    def pull(self, weights: Tensors, kept: Tensors, grads: Tensors) -> Tensors:
        """Return the gradients of the weights from those of the coefficients."""


def coefficients(formula: Formula, *weights: Tensor) -> Tensors:
    """Return the coefficients of weights, differentiable in whatever way is wanted of them."""
    wanted = ANYTHING if torch.compiler.is_compiling() else wanted_of(weights)
    if wanted == ANYTHING or not formula.applies(weights):
        return formula.composed(weights)
    if wanted == GRADIENT:
        return _Coefficients.apply(formula, *weights)  # type: ignore[no-any-return, no-untyped-call]
    return formula.run(weights)[0]


class _Coefficients(torch.autograd.Function):
    """The coefficients, as a function of the weights."""

    @staticmethod
    def forward(ctx: Any, formula: Formula, *weights: Tensor) -> Tensors:
        results, kept = formula.run(weights)
        ctx.formula = formula
        ctx.save_for_backward(*weights, *kept)
        return results

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        formula, saved, needs = ctx.formula, ctx.saved_tensors, ctx.needs_input_grad[1:]
        weights, kept = saved[: len(needs)], saved[len(needs) :]
        if torch.is_grad_enabled() or transformed() or any(map(is_batched, grads)):
            return None, *_differentiate(formula, weights, grads, needs)
        return None, *formula.pull(weights, kept, grads)


def _differentiate(formula: Formula, weights: Tensors, grads: Tensors, needs: tuple[bool, ...]) -> list[Tensor | None]:
    """Return the gradients by operations that torch knows, so that they can be differentiated or mapped."""
    graph = torch.is_grad_enabled()
    with torch.enable_grad():
        # each a node of its own: one may have been made of another
        own = tuple(weight.view_as(weight) for weight in weights)
        results = formula.composed(own)
    wanted = [weight for weight, need in zip(own, needs, strict=True) if need]
    found = iter(torch.autograd.grad(results, wanted, grads, create_graph=graph))
    return [next(found) if need else None for need in needs]
