"""What the recurrent units share: their sizes and options, the checks of a call, and steps without the engine."""

from __future__ import annotations

from typing import Any, TypedDict

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from multirec._core.arrays import name_of
from multirec._core.problem import ComputeDtype, join_shape, split_shape
from multirec._core.scalars import whole
from multirec._core.state import State
from multirec._core.validate import as_choices, check_state_dtype
from multirec._registry.choice import check_name
from multirec.backend import Layout
from multirec.errors import ArgumentError, DeviceError, DtypeError, ShapeError

from .._contract.along_time import AlongTime
from .._contract.arguments import require_tensor, unknown_options
from .._contract.marked import checked, states_of, without_padding
from .._contract.packed import packed
from .._contract.unit import RecurrentUnit
from .._steps.step import Lies, at_once, by_torch

__all__ = ["Options", "SequenceUnit"]

_Types = tuple[torch.dtype, ...]
_COMPLEX: dict[torch.dtype, _Types] = dict.fromkeys(
    (torch.float16, torch.bfloat16, torch.float32), (torch.complex64, torch.complex128)
)
_COMPLEX[torch.float64] = (torch.complex128,)
_WIDER: dict[torch.dtype, _Types] = {
    dtype: (dtype, torch.float32, torch.float64) for dtype in (torch.float16, torch.bfloat16)
}
_WIDER |= {torch.float32: (torch.float32, torch.float64), torch.float64: (torch.float64,)}
"""What the outputs of a state may be, by the type of x."""


class Options(TypedDict, total=False):
    """What every unit takes by keyword besides its own: see `SequenceUnit`."""

    layout: Layout
    reverse: bool
    backend: str
    compute_dtype: ComputeDtype | None


class SequenceUnit(AlongTime):
    """Base class of the units of this library that are called ``Unit(inputs_dim, hidden_dim, …)``.

    A call takes x (T, B, inputs_dim) and gives outs (T, B, hidden_dim) and a `multirec.State`: the last inputs and the
    last outputs of what recurs, with a time axis in the layout, in float32 at least. There may be no batch axis, or
    several. A `torch.nn.utils.rnn.PackedSequence` is taken, and given back.

    Parameters
    ----------
    inputs_dim, hidden_dim
        Numbers of features of x and of the outputs.
    layout
        ``"TBC"`` (sequence first) or ``"BTC"``: features are last.
    reverse
        Run backwards in time.
    backend
        Name of a multirec backend; ``"auto"`` picks by the problem.
    compute_dtype
        As in `multirec.recurrence`: ``"float64"`` for what of float32 signals recurs in float64.

    Raises
    ------
    ShapeError
        x has not `inputs_dim` features, or the state is of another unit or batch size.
    DtypeError
        x has not the weights' dtype (under autocast it may have another).
    """

    _is_complex = False
    """Whether what recurs is complex."""
    _recurring = torch.float32, torch.float64
    """The types that it may have."""

    def __init__(
        self,
        inputs_dim: int,
        hidden_dim: int,
        *,
        layout: Layout = "TBC",
        reverse: bool = False,
        backend: str = "auto",
        compute_dtype: ComputeDtype | None = None,
        **others: Any,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if others:
            raise unknown_options(name, others)
        self.inputs_dim, self.hidden_dim = whole("inputs_dim", inputs_dim, 1), whole("hidden_dim", hidden_dim, 1)
        if layout == "BCT":
            raise ArgumentError(
                f"{name} takes layout 'TBC' or 'BTC', got 'BCT': its projection is of the last axis. For channels "
                "before time transpose x, and the outputs."
            )
        choices = as_choices(layout, reverse, backend, compute_dtype)
        check_name(choices.backend)
        self.layout, self.reverse, self.backend, self.compute_dtype = choices

    def __init_subclass__(cls, **others: Any) -> None:
        super().__init_subclass__(**others)
        for kind in cls.__mro__:
            if kind.__dict__.keys() & {"step", "_advance"}:
                return
            if kind.__dict__.keys() & {"forward", "compute"}:
                # what a subclass or what is mixed into it does to blocks, its steps do
                cls.step = RecurrentUnit.step  # type: ignore[method-assign]
                return

    def _kinds(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return (length, features) of the state's inputs and of its outputs; a length of 0 stands for None."""
        return (0, self.inputs_dim), (1, self.hidden_dim)

    def _weight(self) -> Tensor:
        """Return a weight whose dtype x is to have."""
        raise NotImplementedError

    def _advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the outputs (batch…, features) of one sample, and the state after it."""
        raise NotImplementedError

    def init_state(self, x: Tensor) -> State:
        """Return the zero state for a block like `x`."""
        self._check(x, 2)
        batch, _, _ = split_shape(tuple(x.shape), self.layout)
        (q, inputs), (p, outputs) = self._kinds()
        dtype = self._state_dtype(x)
        return State(
            x.new_zeros(join_shape(batch, inputs, q, self.layout)) if q else None,
            x.new_zeros(join_shape(batch, outputs, p, self.layout), dtype=dtype) if p else None,
        )

    def forward(
        self, x: Any, state: Any = None, *, resets: Any = None, lengths: Any = None, cu_seqlens: Any = None
    ) -> tuple[Any, State]:
        """Return (outs, state) of a block; a `state` of None is the one of `init_state(x)`.

        `resets`, `lengths` and `cu_seqlens` say where sequences begin and end, as in `multirec.recurrence`.
        """
        if isinstance(x, PackedSequence):
            return packed(self, x, state, resets=resets, lengths=lengths, cu_seqlens=cu_seqlens)
        return super().forward(x, state, resets=resets, lengths=lengths, cu_seqlens=cu_seqlens)

    def step(self, x: Tensor, state: Any = None) -> tuple[Tensor, State]:
        """Run one sample: x and the outputs are (batch…, features), without the time axis; forward hooks do not run."""
        self._check_whole()
        if type(state) is not State or not self._finds_out(state.inputs, x):
            self._check(x, 1)
            state = self.init_state(self._block_of_one(x)) if state is None else state
            state = self._checked(state, x.shape[:-1], x)
        try:
            return self._advance(x, state)
        except (RuntimeError, TypeError, AttributeError):
            # torch finds what does not fit while it computes, and here it is said better
            self._check(x, 1)
            self._checked(state, x.shape[:-1], x)
            raise

    def _finds_out(self, inputs: Any, x: Tensor) -> bool:
        """Whether the state's inputs are such that a step fails where they do not fit."""
        return inputs is None

    def _state_dtype(self, x: Tensor) -> torch.dtype:
        return self._recurring[x.dtype == torch.float64 or self.compute_dtype == "float64"]

    def _check(self, x: Tensor, axes: int) -> None:
        """Raise unless x is a block (2 axes or more) or a sample (1) of this unit."""
        require_tensor(self, x)
        shape = x.shape
        if len(shape) < axes or shape[-1] != self.inputs_dim:
            what = f"x in layout {self.layout!r}" if axes == 2 else "a sample (batch…, features)"
            raise ShapeError(
                f"{type(self).__name__}({self.inputs_dim}, {self.hidden_dim}) takes {what} with {self.inputs_dim} "
                f"features on the last axis, got shape {tuple(x.shape)}."
            )
        own = self._weight().dtype
        if x.dtype != own and not torch.is_autocast_enabled(x.device.type):
            raise DtypeError(
                f"x is {x.dtype} and the weights of {type(self).__name__} are {own}. Cast x with x.to({own}), or move "
                "the unit to x's type with unit.to(…)."
            )

    def _begin(self, x: Tensor, state: Any, cuts: dict[str, Any]) -> tuple[Tensor, State]:
        """Return a block without what is padding, and its state; raise unless all fits together."""
        self._check(x, 2)
        if cuts and not torch.compiler.is_compiling():
            checked(x, self.layout, self.reverse, cuts)
        state = self._checked(state, states_of(x, self.layout, cuts), x)
        return without_padding(x, self.layout, cuts), state

    def _checked(self, state: Any, batch: tuple[int, ...], x: Tensor) -> State:
        if not isinstance(state, tuple) or len(state) != 2:
            raise ArgumentError(
                f"the state of {type(self).__name__} is a multirec.State, got {type(state).__name__}. Pass the one "
                "that the previous call returned, or None."
            )
        for index, (count, features) in enumerate(self._kinds()):
            part = state[index]
            if part is None:
                continue
            wanted = (count, *batch, features) if self.layout == "TBC" else (*batch, count, features)
            fits = isinstance(part, Tensor) and (part.shape == wanted if count else 0 in part.shape)
            if not fits or part.dtype not in self._taken(index, x.dtype):
                self._refuse(State._fields[index], part, count, tuple(wanted), x)
            if part.device != x.device:
                raise DeviceError(f"x is on {x.device} and state.{State._fields[index]} is on {part.device}. Move one.")
        return State(*state)

    def _taken(self, index: int, dtype: torch.dtype) -> tuple[torch.dtype, ...]:
        """Return the types that a part of the state may have, x's first."""
        if index == 0:
            return (dtype,)
        return (_COMPLEX if self._is_complex else _WIDER).get(dtype, (dtype,))

    def _refuse(self, name: str, part: Any, count: int, wanted: tuple[int, ...], x: Tensor) -> None:
        """Say what is wrong with a part of a state, if anything is."""
        if not isinstance(part, Tensor):
            raise ArgumentError(
                f"state.{name} of {type(self).__name__} is a torch tensor or None, got {type(part).__name__}. Pass "
                "the state that the previous call returned."
            )
        if part.is_complex() != (self._is_complex and name == "outputs"):
            raise DtypeError(
                f"state.{name} of {type(self).__name__} is {'real' if part.is_complex() else 'complex'}, got "
                f"{part.dtype}: the state is of another unit."
            )
        if count == 0 and 0 not in part.shape:
            raise ShapeError(
                f"state.{name} of {type(self).__name__} is None, got shape {tuple(part.shape)}: the state is of "
                "another unit."
            )
        if count and tuple(part.shape) != wanted:
            raise ShapeError(
                f"{type(self).__name__}({self.inputs_dim}, {self.hidden_dim}) takes a state.{name} of shape "
                f"{wanted} here, got {tuple(part.shape)}: the state is of another unit, or of another batch."
            )
        # what autocast makes of x is not known here
        if name == "outputs" or not torch.is_autocast_enabled(x.device.type):
            taken = self._taken(State._fields.index(name), x.dtype)
            check_state_dtype(name, name_of(part.dtype), tuple(map(name_of, taken)))

    def _recur(self, values: Tensor, gates: Tensor, past: Tensor | None, cuts: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return y[t] = gates[t]·y[t−1] + values[t], and the last one as a state has it."""
        before = None if past is None else State(None, past)
        y, state = self._recurrence(values, None, gates.unsqueeze(-1), before, cuts, self.compute_dtype)
        return y, state.outputs

    def _elementwise(
        self, formula: Any, lies: tuple[Lies, ...], tensors: tuple[Tensor, ...], x: Tensor, state: State
    ) -> tuple[Tensor, Tensor]:
        """Return the outputs of one sample, of the first tensor's type, and the state's outputs after it."""
        _, (kept, _) = self._kinds()
        step = formula, kept, lies, (tensors[0].dtype, self._state_dtype(x)), self.layout, self.backend
        found = at_once(step, tensors)
        if found is None:
            self._check(x, 1)
            self._checked(state, x.shape[:-1], x)
            found = by_torch(step, tensors)
        return found

    def _past(self, state: State, x: Tensor) -> Tensor:
        """Return the outputs of a state before one sample, zeros where there are none."""
        if state.outputs is not None:
            past: Tensor = state.outputs.contiguous()
            return past
        _, (count, features) = self._kinds()
        return x.new_zeros(join_shape(x.shape[:-1], features, count, self.layout), dtype=self._state_dtype(x))

    def extra_repr(self) -> str:
        given = {"layout": "TBC", "reverse": False, "backend": "auto", "compute_dtype": None} | self._own_options()
        now = {name: getattr(self, name) for name in given}
        options = "".join(f", {name}={value!r}" for name, value in now.items() if value != given[name])
        return f"{self.inputs_dim}, {self.hidden_dim}{options}"

    def _own_options(self) -> dict[str, Any]:
        """Return the unit's own options, and what they usually are."""
        return {}
