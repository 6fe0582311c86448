"""The recurrent block of Griffin: a convolution along time and an RG-LRU in one branch, a GELU in the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Unpack

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from multirec._core.axes import unambiguous
from multirec._core.problem import join_shape
from multirec._core.scalars import whole
from multirec._core.state import State
from multirec.errors import ShapeError

from .._contract.arguments import check_weight_dtype
from .._contract.marked import without_padding
from .._contract.projection import project
from .._steps.lines import moved_on, weighted
from .._steps.step import Lies, at_once, by_torch, held
from .._weights.closed_form import Tensors
from .rglru import RGLRU
from .sequence_unit import Options, SequenceUnit

__all__ = ["RGLRUBlock"]


_LIES: tuple[Lies, ...] = "sample", "columns", "rows", "past"


@dataclass(frozen=True)
class _Convolution:
    """One sample: of both branches, taps, bias and the last samples of x's, it filtered, and the last ones then."""

    reverse: bool

    def __call__(self, _: Tensor, branch: Tensor, *numbers: Tensor) -> Tensors:
        width = len(numbers) // 2
        (own, *taps), bias, past = numbers[:width], numbers[width], numbers[width + 1 :]
        filtered = weighted(torch.addcmul(bias, own, branch), taps, past, self.reverse)
        return filtered, *moved_on(past, branch, self.reverse)


class RGLRUBlock(SequenceUnit):
    """outs = W_o (gelu(W_y x + b_y) · RGLRU(conv(W_x x + b_x))) + b_o: Griffin's and RecurrentGemma's recurrent block.

    The convolution is along time, feature by feature, of the last `conv_width` samples. The GELU is the tanh one.

    Parameters
    ----------
    inputs_dim, hidden_dim
        Numbers of features of x and of the outputs.
    width
        Number of features in between; None is `hidden_dim`.
    heads
        Number of blocks of the gates' projections, as in `RGLRU`; it divides `width`.
    conv_width
        Number of samples that the convolution sees.
    **options
        `layout`, `reverse`, `backend` and `compute_dtype`, as in `SequenceUnit`.
    device, dtype
        Of the weights.

    Attributes
    ----------
    projection, out_projection
        Of x to the branches y and x, and of their product to the outputs.
    conv_weight, conv_bias
        (width, conv_width), of which [:, j] multiplies the sample j before, and (width,).
    cell
        The `RGLRU`.

    The state's inputs are the last conv_width - 1 samples that the convolution sees, its outputs those of the RG-LRU.
    `init_state` is empty, as in `RGLRU`.

    Source: De et al., "Griffin: Mixing Gated Linear Recurrences with Local Attention for Efficient Language Models",
    2024.

    Example
    -------
    >>> unit = RGLRUBlock(6, 6, width=8)
    >>> outs, state = unit(torch.randn(20, 2, 6))
    >>> outs.shape, state.inputs.shape, state.outputs.shape
    (torch.Size([20, 2, 6]), torch.Size([3, 2, 8]), torch.Size([1, 2, 8]))
    """

    def __init__(
        self,
        inputs_dim: int,
        hidden_dim: int,
        *,
        width: int | None = None,
        heads: int = 1,
        conv_width: int = 4,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[Options],
    ) -> None:
        check_weight_dtype(self, dtype)
        super().__init__(inputs_dim, hidden_dim, **options)
        self.width = self.hidden_dim if width is None else whole("width", width, 1)
        self.conv_width = whole("conv_width", conv_width, 1)
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        self.projection = nn.Linear(self.inputs_dim, 2 * self.width, **kind)
        self.conv_weight = nn.Parameter(torch.empty(self.width, self.conv_width, **kind))
        self.conv_bias = nn.Parameter(torch.empty(self.width, **kind))
        self.cell = RGLRU(self.width, self.width, heads=heads, **kind, **options)
        self.out_projection = nn.Linear(self.width, self.hidden_dim, **kind)
        self._reset_convolution()

    def reset_parameters(self) -> None:
        """Draw projections and the RG-LRU as they draw themselves, and taps of variance 1/conv_width without bias."""
        for part in (self.projection, self.cell, self.out_projection):
            part.reset_parameters()
        self._reset_convolution()

    def _reset_convolution(self) -> None:
        with torch.no_grad():
            self.conv_weight.normal_(std=self.conv_width**-0.5)
            self.conv_bias.zero_()

    def load_published(self, state_dict: Mapping[str, Tensor]) -> None:
        """Take the weights of RecurrentGemma's `temporal_block`, as transformers names them, from its `state_dict`."""
        width, hidden = self.width, self.hidden_dim
        own = {
            "linear_y.weight": (width, self.inputs_dim),
            "linear_y.bias": (width,),
            "linear_x.weight": (width, self.inputs_dim),
            "linear_x.bias": (width,),
            "conv_1d.weight": (width, 1, self.conv_width),
            "conv_1d.bias": (width,),
            "linear_out.weight": (hidden, width),
            "linear_out.bias": (hidden,),
        }
        cell = {name.removeprefix("rg_lru."): part for name, part in state_dict.items() if name.startswith("rg_lru.")}
        found = {name: tuple(part.shape) for name, part in state_dict.items() if not name.startswith("rg_lru.")}
        if found != own:
            raise ShapeError(
                f"RGLRUBlock({self.inputs_dim}, {hidden}, width={width}) takes weights of shapes {own}, got {found}: "
                "the state_dict is of something else, or of other sizes."
            )
        self.cell.load_published(cell)
        with torch.no_grad():
            for name in ("weight", "bias"):
                branches = [state_dict[f"linear_{branch}.{name}"] for branch in "yx"]
                getattr(self.projection, name).copy_(torch.cat(branches))
                getattr(self.out_projection, name).copy_(state_dict[f"linear_out.{name}"])
            # theirs are in the order of time
            self.conv_weight.copy_(state_dict["conv_1d.weight"][:, 0].flip(-1))
            self.conv_bias.copy_(state_dict["conv_1d.bias"])

    def _weight(self) -> Tensor:
        return self.projection.weight

    def _kinds(self) -> tuple[tuple[int, int], tuple[int, int]]:
        return (self.conv_width - 1, self.width), (1, self.width)

    def init_state(self, x: Tensor) -> State:
        """Return the empty state: nothing stands before a first block."""
        self._check(x, 2)
        return State()

    def compute(self, x: Tensor, state: Any, **cuts: Any) -> tuple[Tensor, State]:
        """Run the block `x` from `state`."""
        x, state = self._begin(x, state, cuts)
        gate, branch = project(self.projection, x).chunk(2, -1)
        # it has a bias, and so may have padding
        branch = without_padding(branch, self.layout, cuts)
        taps = unambiguous(self.conv_weight, branch, self.layout)
        past = None if state.inputs is None else State(state.inputs)
        filtered, after = self._recurrence(branch, taps, None, past, cuts, self.compute_dtype)
        h, last = self.cell._gated(filtered + self.conv_bias.to(filtered.dtype), state.outputs, cuts)
        outs = project(self.out_projection, h * gelu(gate, approximate="tanh"))
        return without_padding(outs, self.layout, cuts), State(after.inputs, last)

    def _finds_out(self, inputs: Any, x: Tensor) -> bool:
        return type(inputs) is Tensor

    def _advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        both, past = held(self, "projection")(x), state.inputs
        if past is None:
            past = both.new_zeros(join_shape(x.shape[:-1], self.width, self.conv_width - 1, self.layout))
        tensors = both, held(self, "conv_weight"), held(self, "conv_bias"), past
        kept = self.conv_width - 1
        step = _Convolution(self.reverse), kept, _LIES, (both.dtype, both.dtype), self.layout, self.backend
        found = at_once(step, tensors)
        if found is None:
            self._checked(state, x.shape[:-1], x)
            found = by_torch(step, tensors)
        u, inputs = found
        y, last = held(self, "cell")._gated_sample(u, state.outputs, both)
        return held(self, "out_projection")(y), State(inputs, last)

    def _own_options(self) -> dict[str, Any]:
        return {"width": self.hidden_dim, "conv_width": 4}
