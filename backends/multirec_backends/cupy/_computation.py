"""One problem on one device: finds the program for arrays as they lie, and runs it on them."""

from __future__ import annotations

from math import prod
from typing import Any, Protocol, TypeAlias, TypeVar

from multirec.backend import Activated, Axes, Gradients, Problem, no_fork
from multirec.errors import ArgumentError

from ._pack import WANTS_FEEDBACK, WANTS_TAPS, WANTS_X, Framing, View
from ._plan.parts import Direction, Plan, Wanted
from ._program import Program, Queue
from ._results import Results

Array: TypeAlias = Any
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

_OPERANDS = "x", "b", "a", "inputs", "outputs"
_FORWARD = "y", "last_x", "last_y"
_BACKWARD = "y", "grad_y", "grad_last", "grad_x", "grad_b", "grad_a", "grad_inputs", "grad_outputs"
_MOST = 64
_NOTHING = Direction(())


def keep(values: dict[_Key, _Value], most: int, key: _Key, value: _Value) -> _Value:
    """Keep a value by its key, and at most so many; the oldest makes room, whatever other threads keep meanwhile."""
    with no_fork:
        while len(values) >= most:
            del values[next(iter(values))]
        values[key] = value
    return value


class Device(Protocol):
    """Where kernels run."""

    def has(self, kernel: str) -> bool:
        """Say whether there is a kernel, by its C++ name."""

    def queue(self, problem: Problem | Activated) -> Queue:
        """Return the queue of a problem's device, for all its calls."""


class Computation:
    """Runs a problem on arrays that are allocated, canonical ones or, with `axes`, as the caller has them."""

    operands: tuple[str, ...] = _OPERANDS
    framing: Framing | None = None
    """Of coefficients that come at a frame rate."""

    def __init__(self, problem: Problem, chosen: Plan, queue: Queue, axes: Axes | None = None) -> None:
        self.problem, self.queue = problem, queue
        self._plan, self._axes = chosen, axes
        self._programs: dict[tuple[Any, ...], Program] = {}
        self.is_empty = not (problem.batch and problem.channels and problem.length)

    def forward(self, operands: tuple[Array | None, ...], results: tuple[Array | None, ...]) -> None:
        """Compute y from x, feedforward, feedback, inputs and outputs, and the last inputs and outputs if given."""
        if self.is_empty:
            return
        key, addresses = self._found(operands, results)
        program = self._programs.get(key)
        if program is None:
            names = *self.operands, *_FORWARD
            views = self._views(names, (*operands, *results))
            last = self.last(views, "last_y")
            made = Program(self.problem, self._plan.forward, names, views, last=last, framing=self.framing)
            program = keep(self._programs, _MOST, key, made)
        program.run(self.queue, addresses)

    def backward(self, operands: tuple[Array | None, ...], signals: tuple[Array | None, ...], found: Gradients) -> None:
        """Compute the gradients for which `found` has memory, of operands from y, grad_y and grad_last."""
        key, addresses = self._found((*operands, *signals), found)
        program = self._programs.get(key)
        if program is None:
            views = self._views((*self.operands, *_BACKWARD), (*operands, *signals, *found))
            program = keep(self._programs, _MOST, key, self._backward(views, found))
        program.run(self.queue, addresses)

    def last(self, views: dict[str, View], name: str) -> int:
        """Return how many last outputs there are, or their gradients."""
        return views[name].shape[-1] if name in views else 0

    def share(self, results: Results) -> None:
        """Let blocks write what their channels give an x that they share."""
        results.shared_x()

    def _found(
        self, given: tuple[Array | None, ...], results: tuple[Array | None, ...]
    ) -> tuple[tuple[Any, ...], list[int]]:
        """Return what tells these arrays' program from others, and the arrays' addresses.

        Results are new memory, which always lies in the same way.
        """
        address_of, strides_of = self.queue.address, self.queue.strides
        key: list[Any] = []
        addresses = []
        for array in given:
            if array is None:
                addresses.append(0)
                key.append(None)
            else:
                address = address_of(array)
                addresses.append(address)
                key += strides_of(array), address and (address & 15) + 16
        for array in results:
            address = 0 if array is None else address_of(array)
            addresses.append(address)
            key.append(address and (address & 15) + 16)
        return tuple(key), addresses

    def _views(self, names: tuple[str, ...], arrays: tuple[Array | None, ...]) -> dict[str, View]:
        views = {}
        for name, array in zip(names, arrays, strict=True):
            if array is not None and prod(array.shape):
                view = self.queue.view(array)
                if not view.address:
                    raise ArgumentError(
                        f"{name} of shape {view.shape} has no memory: it was freed, or torch keeps it as one zero. "
                        "Pass an ordinary array."
                    )
                views[name] = view if self._axes is None else self._canonical(name, view)
        return views

    def _canonical(self, name: str, view: View) -> View:
        assert self._axes is not None
        kind = name.removeprefix("grad_")
        axes = self._axes.feedforward if kind == "b" else self._axes.feedback if kind == "a" else self._axes.signal
        return View(
            view.address,
            tuple(1 if axis is None else view.shape[axis] for axis in axes),
            tuple(0 if axis is None else view.strides[axis] for axis in axes),
            view.itemsize,
        )

    def _backward(self, views: dict[str, View], found: Gradients) -> Program:
        problem = self.problem
        of_x = found.x is not None or found.inputs is not None
        of_b, of_a = found.feedforward is not None, found.feedback is not None and problem.order > 0
        direction = _NOTHING if self.is_empty else self._plan.backward(Wanted(of_x, of_b, of_a))
        results = Results(problem, direction, views)
        if problem.shared and of_x:
            self.share(results)
        if of_b:
            results.coefficients("b", problem.feedforward)
        if of_a:
            results.coefficients("a", problem.feedback)
        if self.is_empty:
            results.past()
        return Program(
            problem,
            direction,
            (*self.operands, *_BACKWARD),
            results.views,
            last=self.last(views, "grad_last"),
            wants=WANTS_X * of_x + WANTS_TAPS * of_b + WANTS_FEEDBACK * of_a,
            further=results.scratch,
            jobs=tuple(results.jobs),
            framing=self.framing,
        )
