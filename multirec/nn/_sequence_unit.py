"""What the recurrent units share: their sizes and options, the checks of a call, and steps without the engine."""

from __future__ import annotations

from typing import Any, TypedDict

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from multirec._core.problem import ComputeDtype, join_shape, split_shape
from multirec._core.scalars import whole
from multirec._core.state import State
from multirec._core.validate import as_choices
from multirec._recurrence import recurrence
from multirec._registry.choice import check_name
from multirec.backend import Layout
from multirec.errors import ArgumentError, DtypeError, ShapeError

from ._arguments import require_tensor
from ._marked import checked, states_of, without_padding
from ._packed import packed
from ._unit import RecurrentUnit, cast, drop_time

__all__ = ["Options", "SequenceUnit"]

_STACKED = {"num_layers", "bidirectional", "dropout"}


class Options(TypedDict, total=False):
    """What every unit takes by keyword besides its own: see `SequenceUnit`."""

    layout: Layout
    reverse: bool
    backend: str
    compute_dtype: ComputeDtype | None


class SequenceUnit(RecurrentUnit):
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
            raise _unknown(name, others)
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
        own = cls.__dict__.keys()
        if own & {"forward", "compute"} and not own & {"step", "_advance"}:
            # what a subclass does to blocks, its steps do
            cls.step = RecurrentUnit.step  # type: ignore[method-assign]

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
        self._check(x, 1)
        if state is None:
            state = self.init_state(self._block_of_one(x))
        return self._advance(x, self._checked(state, x.shape[:-1]))

    def _state_dtype(self, x: Tensor) -> torch.dtype:
        double = x.dtype == torch.float64 or self.compute_dtype == "float64"
        return torch.float64 if double else torch.float32

    def _check(self, x: Tensor, axes: int) -> None:
        """Raise unless x is a block (2 axes or more) or a sample (1) of this unit."""
        require_tensor(self, x)
        if x.ndim < axes or x.shape[-1] != self.inputs_dim:
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
        state = self._checked(state, states_of(x, self.layout, cuts))
        return without_padding(x, self.layout, cuts), state

    def _checked(self, state: Any, batch: tuple[int, ...]) -> State:
        if not isinstance(state, tuple) or len(state) != 2:
            raise ArgumentError(
                f"the state of {type(self).__name__} is a multirec.State, got {type(state).__name__}. Pass the one "
                "that the previous call returned, or None."
            )
        for name, part, (count, features) in zip(State._fields, state, self._kinds(), strict=True):
            if part is None:
                continue
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
            wanted = join_shape(batch, features, count, self.layout)
            if count and tuple(part.shape) != tuple(wanted):
                raise ShapeError(
                    f"{type(self).__name__}({self.inputs_dim}, {self.hidden_dim}) takes a state.{name} of shape "
                    f"{tuple(wanted)} here, got {tuple(part.shape)}: the state is of another unit, or of another batch."
                )
        return State(*state)

    def _recur(self, values: Tensor, gates: Tensor, past: Tensor | None, cuts: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return y[t] = gates[t]·y[t−1] + values[t], and the last one as a state has it."""
        y, state = recurrence(
            values,
            feedback=gates.unsqueeze(-1),
            state=None if past is None else State(None, past),
            layout=self.layout,
            reverse=self.reverse,
            backend=self.backend,
            compute_dtype=self.compute_dtype,
            **cuts,
        )
        return y, state.outputs

    def _before(self, past: Tensor, dtype: torch.dtype) -> Tensor:
        """Return a state's only output, (batch…, features), in the type that recurs."""
        return cast(drop_time(past, self.layout), dtype)

    def extra_repr(self) -> str:
        given = {"layout": "TBC", "reverse": False, "backend": "auto", "compute_dtype": None} | self._own_options()
        now = {name: getattr(self, name) for name in given}
        options = "".join(f", {name}={value!r}" for name, value in now.items() if value != given[name])
        return f"{self.inputs_dim}, {self.hidden_dim}{options}"

    def _own_options(self) -> dict[str, Any]:
        """Return the unit's own options, and what they usually are."""
        return {}


def _unknown(name: str, others: dict[str, Any]) -> Exception:
    """Return the error of keywords that no unit has."""
    given = ", ".join(f"{key}={value!r}" for key, value in others.items())
    if others.keys() <= _STACKED:
        return ArgumentError(
            f"{name} is one layer in one direction, got {given}. For more write "
            f"multirec.nn.Stack({name}, inputs_dim, hidden_dim, {given})."
        )
    if "batch_first" in others:
        return ArgumentError(f"{name} has a layout: for batch_first=True write layout='BTC'.")
    return TypeError(f"{name}() got an unexpected keyword argument {next(iter(others))!r}")
