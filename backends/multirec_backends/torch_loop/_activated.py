"""Recurrences with an activation inside, one torch step a sample; the gradient is torch's own of these steps."""

from __future__ import annotations

import torch
from torch import Tensor

from multirec.backend import Activated, ActivatedGradients, ActivatedNeeds, ActivatedOperands, step_through


class ActivatedSteps:
    """The part of the kernel object that computes them."""

    def activates(self, problem: Activated) -> str:
        return ""

    def forward_activated(
        self, problem: Activated, operands: ActivatedOperands, y: Tensor, starts: Tensor | None
    ) -> Tensor:
        with torch.no_grad():
            found, state = step_through(problem, operands)
            y.copy_(found)
        return state  # type: ignore[no-any-return]

    def vjp_activated(
        self,
        problem: Activated,
        operands: ActivatedOperands,
        starts: Tensor,
        grad_y: Tensor,
        grad_state: Tensor | None,
        targets: tuple[Tensor | None, ...],
        needs: ActivatedNeeds,
    ) -> ActivatedGradients:
        signals, parameters, state, numbers = operands
        signals = tuple(_leaf(part, target is not None) for part, target in zip(signals, targets, strict=True))
        parameters = tuple(_leaf(part, need) for part, need in zip(parameters, needs.parameters, strict=True))
        state = None if state is None else _leaf(state, needs.state)
        leaves = [*signals, *parameters, *([] if state is None else [state])]
        with torch.enable_grad():
            y, after = step_through(problem, ActivatedOperands(signals, parameters, state, numbers))
        wanted = [leaf for leaf in leaves if leaf.requires_grad]
        outputs = [(y, grad_y.to(y.dtype)), *([] if grad_state is None else [(after, grad_state)])]
        outputs = [pair for pair in outputs if pair[0].requires_grad]
        results, grads = zip(*outputs, strict=True) if outputs else ((), ())
        found = torch.autograd.grad(results, wanted, grads, allow_unused=True, materialize_grads=True)
        by_leaf = {id(leaf): grad for leaf, grad in zip(wanted, found, strict=True)}
        for target, signal in zip(targets, signals, strict=True):
            if target is not None:
                target.copy_(by_leaf[id(signal)])
        return ActivatedGradients(
            tuple(by_leaf.get(id(part)) for part in parameters), by_leaf.get(id(state)) if state is not None else None
        )


def _leaf(tensor: Tensor, needed: bool) -> Tensor:
    return tensor.detach().requires_grad_(needed)
