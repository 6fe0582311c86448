"""A bank of learnable filters of any order, stable whatever its weights are."""

from __future__ import annotations

import numpy.typing as npt
import torch
from torch import nn

from multirec._core.problem import ComputeDtype
from multirec._core.validate import as_choices
from multirec._engine.rounding import TOLERANCE, same_response
from multirec.backend import Layout

from .._contract.arguments import check_order, check_weight_dtype
from .._weights import stable
from .._weights.all_pole import AllPole
from .._weights.closed_form import coefficients
from .._weights.design import require_held, require_stable, taps_of
from .filter_unit import Pair
from .frozen import FrozenBank
from .learned import LearnedUnit
from .signal_bank import SignalBank

__all__ = ["FilterBank"]


class FilterBank(LearnedUnit, SignalBank):
    """`channels` learnable filters of one order: y[t] = Σ feedforward[j]·x[t-j] + Σ feedback[k]·y[t-k].

    The feedforward taps are weights as they are. The feedback is the Levinson step-up of reflection
    coefficients tanh(`reflection_weight`): every value of the weights is a stable filter, also after rounding
    to their precision, and gradients stay finite up to the unit circle.

    Parameters
    ----------
    channels
        Number of filters C; 1 serves signals of any number of channels.
    order
        Number p of past outputs, at most 256; 0 is FIR.
    input_order
        Number q of past inputs; `order` if None.
    layout
        Of x and y: ``"BCT"``, ``"BTC"`` or ``"TBC"``.
    reverse
        Run backwards in time.
    backend
        Name of a multirec backend; ``"auto"`` picks by the problem.
    compute_dtype
        As in `multirec.recurrence`: ``"float64"`` for what float32 signals and weights are computed in.
    device, dtype
        Of the weights. Coefficients are built in float64 and rounded once, to `dtype` (half types: float32), or to
        `compute_dtype` where that is wider.
        For x of lower precision the recurrence rounds them again, which poles very near the circle may not
        survive.

    Shapes
    ------
    x in the layout, by its number of axes: three or more have 1 or C channels and any batch ([B, 1|C, T]); two have a
    batch and no channels ([B, T]; [T, B] in ``"TBC"``); one has neither ([T]). Returns y [B, C, T], or [C, T] of [T],
    in the layout, with x's dtype, and the `multirec.State`. A bank of one filter takes any number of channels, and y
    has as many. `step` takes one sample, which is x without the time axis: [B, 1|C], [B], or a scalar.

    Raises
    ------
    ShapeError
        x has another number of channels.
    FamilyError
        x is not a torch tensor.
    DtypeError
        `dtype` is not a real floating type.

    Example
    -------
    >>> bank = FilterBank(128)
    >>> y, state = bank(torch.randn(4, 100))
    >>> y.shape
    torch.Size([4, 128, 100])
    >>> y, state = bank(torch.randn(4, 100), state)
    >>> y_t, state = bank.step(torch.randn(4), state)
    >>> y_t.shape
    torch.Size([4, 128])
    >>> FilterBank(1)(torch.randn(4, 2, 100))[0].shape
    torch.Size([4, 2, 100])
    """

    def __init__(
        self,
        channels: int,
        *,
        order: int = 2,
        input_order: int | None = None,
        layout: Layout = "BCT",
        reverse: bool = False,
        backend: str = "auto",
        compute_dtype: ComputeDtype | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        order = check_order(order)
        input_order = order if input_order is None else input_order
        check_weight_dtype(self, dtype)
        super().__init__(channels, order, input_order, as_choices(layout, reverse, backend, compute_dtype))
        self.feedforward = nn.Parameter(torch.empty(channels, input_order + 1, device=device, dtype=dtype))
        self.reflection_weight = nn.Parameter(torch.empty(channels, order, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw filters of short memory, each scaled so that white noise keeps its power."""
        with torch.no_grad():
            weight = self.reflection_weight
            weight.normal_().div_(torch.arange(1, self.order + 1, device=weight.device))
            self.feedforward.zero_()
            self.feedforward[:, :1] = 1 / stable.noise_gain(stable.reflection(weight, self._taps_dtype)).T

    def _weights(self) -> tuple[torch.Tensor, ...]:
        return self.feedforward, self.reflection_weight

    def _made_of(self, *weights: torch.Tensor) -> Pair:
        feedforward, weight = weights
        dtype = stable.coefficient_dtype(weight, self.compute_dtype)
        (feedback,) = coefficients(AllPole(dtype), weight)
        return feedforward.to(dtype), feedback

    def freeze(self) -> FrozenBank:
        """Return a bank that keeps the coefficients as they are now: a call computes none, and it does not learn."""
        return FrozenBank(self)

    @property
    def _taps_dtype(self) -> torch.dtype:
        return stable.coefficient_dtype(self.reflection_weight, self.compute_dtype)

    @classmethod
    def from_ba(
        cls,
        b: npt.ArrayLike,
        a: npt.ArrayLike,
        *,
        layout: Layout = "BCT",
        reverse: bool = False,
        backend: str = "auto",
        compute_dtype: ComputeDtype | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> FilterBank:
        """Return a bank that starts from SciPy's designs: b [C, q+1] and a [C, p+1], each with C or 1 rows.

        One-dimensional b or a are one row. The inverse of `ba`: a step-down recursion in float64, then atanh.

        Raises
        ------
        ShapeError
            b or a has more than two axes, is ragged, empty or complex, or their numbers of rows differ.
        ArgumentError
            b or a requires a gradient, a[:, 0] is 0, a value is not finite, a filter is unstable, or is so after
            rounding to `dtype`. With `compute_dtype` wider than `dtype`: weights of `dtype` do not hold the response.

        Example
        -------
        >>> bank = FilterBank.from_ba([[1.0, 0.0], [0.5, 0.5]], [[1.0, -0.9], [2.0, 0.8]])
        >>> bank.ba()[1].round(6).tolist()
        [[1.0, -0.9], [1.0, 0.4]]
        """
        feedforward, feedback = taps_of(b, a)
        k = stable.reflection_of(torch.from_numpy(feedback).T)
        require_stable(feedback, (k.abs() < 1).all(0).numpy())
        bank = cls(
            len(feedback),
            order=feedback.shape[1],
            input_order=feedforward.shape[1] - 1,
            layout=layout,
            reverse=reverse,
            backend=backend,
            compute_dtype=compute_dtype,
            device=device,
            dtype=dtype,
        )
        weight = bank.reflection_weight
        with torch.no_grad():
            bank.feedforward.copy_(torch.from_numpy(feedforward))
            weight.copy_(torch.atanh(k).T)
            held = (stable.stable_weight(weight, bank._taps_dtype) == stable.wide(weight.T)).all(0)
            taps = [part.cpu().double().numpy() for part in bank.coefficients()]
        require_held(held.cpu().numpy(), f"not when rounded to {bank._taps_dtype}")
        if bank._taps_dtype != stable.coefficient_dtype(weight):
            failure = f"weights of {weight.dtype} change its response by more than {TOLERANCE:.0%}"
            require_held(same_response((feedforward, feedback), taps), failure)
        return bank

    def extra_repr(self) -> str:
        return f"{self.channels}, order={self.order}" + self._options(input_order=self.order, layout="BCT")
