"""LRU: a linear recurrence of complex numbers, between two projections."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Unpack

import torch
from torch import Tensor, nn

from multirec._core.scalars import whole
from multirec._core.state import State
from multirec._torch.linear import linear
from multirec.errors import ArgumentError

from .._contract.arguments import check_weight_dtype
from .._contract.unit import cast
from .._steps.step import held
from .._weights.kept import Keeping
from .gated import wide
from .sequence_unit import Options, SequenceUnit

__all__ = ["LRU", "LRUMatrices"]


class LRUMatrices(NamedTuple):
    """h[t] = eigenvalues·h[t-1] + B x[t], outs = Re(C h[t]) + D x[t]; a D of one axis is a diagonal."""

    eigenvalues: Tensor
    B: Tensor
    C: Tensor
    D: Tensor


class LRU(Keeping, SequenceUnit):
    """h[t] = λ·h[t-1] + γ·B x[t], outs = Re(C h[t]) + D x[t]: the linear recurrent unit, complex inside.

    λ = exp(-exp(ν) + i·exp(θ)) is within the unit circle for all values of the weights ν and θ. They are drawn so that
    λ is uniform on the ring ``min_radius ≤ |λ| ≤ max_radius`` of phases from 0 to `max_phase`, and γ is at first
    ``√(1 - |λ|²)``, which keeps the power of white noise.

    Parameters
    ----------
    inputs_dim, hidden_dim
        Numbers of features of x and of the outputs.
    state_dim
        Number N of complex numbers that recur; None is `hidden_dim`.
    min_radius, max_radius, max_phase
        Where eigenvalues λ are drawn.
    **options
        `layout`, `reverse`, `backend` and `compute_dtype`, as in `SequenceUnit`.
    device, dtype
        Of the weights, which are real. The recurrence of half types is computed in complex64.

    Attributes
    ----------
    input_weight, output_weight
        (2·N, inputs_dim) and (hidden_dim, 2·N): B has real parts [0::2] and imaginary parts [1::2], C has real parts
        [:, 0::2] and imaginary parts -[:, 1::2].
    skip_weight
        D: (hidden_dim,) where inputs and outputs have the same number of features, else (hidden_dim, inputs_dim).
    nu_log, theta_log, gamma_log
        (N,) ν, θ and log γ.

    The state's outputs are the last h, complex.

    Source: Orvieto et al., "Resurrecting Recurrent Neural Networks for Long Sequences", 2023.

    Example
    -------
    >>> unit = LRU(3, 5, state_dim=8)
    >>> outs, state = unit(torch.randn(20, 2, 3))
    >>> outs.shape, state.outputs.shape, state.outputs.dtype
    (torch.Size([20, 2, 5]), torch.Size([1, 2, 8]), torch.complex64)
    """

    def __init__(
        self,
        inputs_dim: int,
        hidden_dim: int,
        *,
        state_dim: int | None = None,
        min_radius: float = 0.0,
        max_radius: float = 1.0,
        max_phase: float = 2 * math.pi,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[Options],
    ) -> None:
        check_weight_dtype(self, dtype)
        super().__init__(inputs_dim, hidden_dim, **options)
        self.state_dim = self.hidden_dim if state_dim is None else whole("state_dim", state_dim, 1)
        if not 0 <= min_radius <= max_radius <= 1:
            raise ArgumentError(
                f"eigenvalues have 0 <= min_radius <= max_radius <= 1, got min_radius={min_radius} and "
                f"max_radius={max_radius}."
            )
        if not max_phase > 0:
            raise ArgumentError(f"max_phase is above 0, got {max_phase}.")
        self.min_radius, self.max_radius, self.max_phase = min_radius, max_radius, max_phase
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        inputs, hidden, states = self.inputs_dim, self.hidden_dim, self.state_dim
        self.input_weight = nn.Parameter(torch.empty(2 * states, inputs, **kind))
        self.output_weight = nn.Parameter(torch.empty(hidden, 2 * states, **kind))
        self.skip_weight = nn.Parameter(torch.empty(hidden if inputs == hidden else (hidden, inputs), **kind))
        for name in ("nu_log", "theta_log", "gamma_log"):
            setattr(self, name, nn.Parameter(torch.empty(states, **kind)))
        self.reset_parameters()

    _is_complex = True
    _recurring = torch.complex64, torch.complex128
    nu_log: nn.Parameter
    theta_log: nn.Parameter
    gamma_log: nn.Parameter

    def reset_parameters(self) -> None:
        """Draw eigenvalues on the ring, and matrices that keep the power of noise."""
        low, high = self.min_radius**2, self.max_radius**2
        with torch.no_grad():
            self.input_weight.normal_(std=(2 * self.inputs_dim) ** -0.5)
            self.output_weight.normal_(std=self.state_dim**-0.5)
            self.skip_weight.normal_(std=1.0 if self.skip_weight.ndim == 1 else self.inputs_dim**-0.5)
            # drawn wide: half types and a radius of 1 would be eigenvalues of 1
            like = torch.empty_like(self.nu_log, dtype=torch.float32)
            square = (low + torch.rand_like(like) * (high - low)).clamp(1e-12, 1 - 1e-6)
            self.nu_log.copy_((-0.5 * square.log()).log())
            self.theta_log.copy_((self.max_phase * torch.rand_like(like)).clamp_min(1e-6).log())
            self.gamma_log.copy_(0.5 * torch.log1p(-square))

    def matrices(self) -> LRUMatrices:
        """Return the paper's matrices, complex but for D, differentiable."""
        # made anew: what is kept is not for the caller to write over
        gain, eigenvalues = _coefficients(self.nu_log, self.theta_log, self.gamma_log)
        b, c = wide(self.input_weight), wide(self.output_weight)
        return LRUMatrices(
            eigenvalues,
            gain[:, None] * torch.complex(b[0::2], b[1::2]),
            torch.complex(c[:, 0::2], -c[:, 1::2]),
            self.skip_weight,
        )

    def _weight(self) -> Tensor:
        return self.input_weight

    def _kinds(self) -> tuple[tuple[int, int], tuple[int, int]]:
        return (0, self.inputs_dim), (1, self.state_dim)

    def _coefficients(self) -> tuple[Tensor, Tensor]:
        """Return gain and eigenvalues, (N,) each."""
        weights = held(self, "nu_log"), held(self, "theta_log"), held(self, "gamma_log")
        found: tuple[Tensor, Tensor] = self._once(_coefficients, weights)
        return found

    def _into(self, x: Tensor) -> Tensor:
        """Return B x, complex (…, N)."""
        projected = wide(linear(x, self.input_weight))
        return torch.view_as_complex(projected.view(*projected.shape[:-1], self.state_dim, 2))

    def _out(self, h: Tensor, x: Tensor) -> Tensor:
        """Return Re(C h) + D x, of real and imaginary parts in turn."""
        outs, skip = linear(cast(h, x.dtype), held(self, "output_weight")), held(self, "skip_weight")
        if skip.ndim == 1:
            return torch.addcmul(outs, cast(x, outs.dtype), cast(skip, outs.dtype))
        return outs + linear(x, skip)

    def compute(self, x: Tensor, state: Any, **cuts: Any) -> tuple[Tensor, State]:
        """Run the unit on the block `x` from `state`."""
        x, state = self._begin(x, state, cuts)
        gain, eigenvalues = self._coefficients()
        taps = gain[:, None], eigenvalues[:, None]
        h, after = self._recurrence(self._into(x), *taps, state, cuts, self.compute_dtype)
        return self._out(torch.view_as_real(h).flatten(-2), x), State(None, after.outputs)

    def _advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        tensors = linear(x, held(self, "input_weight")), *self._coefficients(), self._past(state, x)
        h, last = self._elementwise(_recur, ("pairs", "rows", "rows", "past"), tensors, x, state)
        return self._out(h, x), State(None, last)

    def _own_options(self) -> dict[str, Any]:
        return {"state_dim": self.hidden_dim}


def _coefficients(nu: Tensor, theta: Tensor, gamma: Tensor) -> tuple[Tensor, Tensor]:
    nu, theta, gamma = wide(nu), wide(theta), wide(gamma)
    # an eigenvalue that is rounded onto the circle is not stable
    decay = nu.exp().clamp_min(4 * torch.finfo(nu.dtype).eps)
    return gamma.exp(), torch.polar((-decay).exp(), theta.exp())


def _recur(driven: Tensor, gain: Tensor, eigenvalues: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
    """One sample: h as what goes out and as the state."""
    h = torch.addcmul(gain * driven, eigenvalues, past)
    return h, h
