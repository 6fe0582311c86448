"""Recurrences with an activation inside: the part of the kernel object that launches them."""

from __future__ import annotations

import struct
from math import prod
from typing import Any, TypeAlias

from multirec.backend import Activated, ActivatedGradients, ActivatedNeeds, ActivatedOperands

from ._computation import Device, keep
from ._fold import IN, OUT, SHARED, SUM_B, Axis, Job, fold, job
from ._pack import SIGNAL_BYTES, TAP_BYTES, WORD, View, signal, taps
from ._plan.activated import HIGHEST_ORDER, fold_name, plan
from ._program import Queue, Template

Array: TypeAlias = Any
Named: TypeAlias = dict[str, Array | None]

_HEAD = struct.Struct("6qd")
_MOST_SIGNALS, _MOST_PARAMETERS, _MOST = 4, 2, 256
_SIGNALS = (
    *(f"signal_{index}" for index in range(_MOST_SIGNALS)),
    *(f"grad_{index}" for index in range(_MOST_SIGNALS)),
    *("y", "state", "last", "grad_y", "grad_last", "grad_state", "numbers"),
)
_PARAMETERS = tuple(f"parameter_{index}" for index in range(_MOST_PARAMETERS))
_MEMORY = "starts", "sums"
_PLACES = {
    **{name: _HEAD.size + index * SIGNAL_BYTES for index, name in enumerate(_SIGNALS)},
    **{name: _HEAD.size + len(_SIGNALS) * SIGNAL_BYTES + index * TAP_BYTES for index, name in enumerate(_PARAMETERS)},
    **{
        name: _HEAD.size + len(_SIGNALS) * SIGNAL_BYTES + len(_PARAMETERS) * TAP_BYTES + index * WORD
        for index, name in enumerate(_MEMORY)
    },
}
"""Where an array's words are, in the structure `Activated` of the CUDA source."""
_BYTES = max(_PLACES.values()) + WORD


class ActivatedComputation:
    """Runs one problem; what it packs for arrays that lie alike is packed once."""

    def __init__(self, problem: Activated, queue: Queue) -> None:
        self.problem, self.queue = problem, queue
        self._templates: dict[tuple[Any, ...], Template] = {}

    def launch(self, back: bool, arrays: Named) -> None:
        """Launch one direction; arrays by their names in the CUDA source."""
        own = {name: array for name, array in arrays.items() if array is not None and prod(array.shape)}
        found = plan(self.problem, back)
        key = back, *((name, self.queue.strides(array)) for name, array in own.items())
        template = self._templates.get(key)
        if template is None:
            template = keep(self._templates, _MOST, key, self._template(found.grid.items, own))
        words = template.at([self.queue.address(array) for array in own.values()])
        self.queue.launch(*found[:4], words)

    def fold(self, sums: Array, results: list[tuple[Array, int]], every: int) -> None:
        """Add up sums (B·C, every) of each result's own part, which begins with a number."""
        jobs = [self._job(self.queue.view(result), every) for result, _ in results]
        folded = fold(jobs)
        places = [
            each
            for (_, first), place, index in zip(results, folded.places, range(len(results)), strict=True)
            for each in (("sums", place + IN, first * 8), (str(index), place + OUT, 0))
        ]
        order = {"sums": 0, **{str(index): index + 1 for index in range(len(results))}}
        addresses = [self.queue.address(array) for array in (sums, *(result for result, _ in results))]
        words = Template(folded.words, tuple(places), order).at(addresses)
        self.queue.launch(fold_name(self.problem), folded.blocks, folded.threads, SHARED, words)

    def _template(self, items: int, arrays: dict[str, Array]) -> Template:
        problem = self.problem
        words = bytearray(_BYTES)
        rows, count = problem.batch * problem.channels, problem.count or 0
        _HEAD.pack_into(
            words, 0, problem.channels, problem.length, rows, items, count, int(problem.reverse), problem.scale
        )
        places = []
        for name, array in arrays.items():
            view = self.queue.view(array)
            found: tuple[int, ...] = (view.address,)
            if name in _SIGNALS:
                found = signal(view, problem.reverse)
            elif name in _PARAMETERS:
                held = view._replace(shape=_held(view.shape, 1), strides=_held(view.strides, 0))
                found = taps(held, False)
            struct.pack_into(f"{len(found)}q", words, _PLACES[name], *found)
            places.append((name, _PLACES[name], found[0] - view.address))
        return Template(bytes(words), tuple(places), {name: index for index, name in enumerate(arrays)})

    def _job(self, view: View, every: int) -> Job:
        problem = self.problem
        axes: list[Axis] = []
        terms = []
        steps = (problem.batch, problem.channels * every), (problem.channels, every)
        for (whole, step), size, stride in zip(steps, view.shape[:2], view.strides[:2], strict=True):
            axes.append((size, step, stride) if size == whole else (1, 0, 0))
            terms += [] if size == whole else [(whole, step)]
        return job(SUM_B, (axes[0], axes[1], (view.shape[2], 1, view.strides[2])), tuple(terms))


def _held(axes: tuple[int, ...], time: int) -> tuple[int, ...]:
    return *axes[:2], time, axes[2]


class Activations:
    """Forward and gradient, for any strides."""

    _device: Device

    def __init__(self, device: Device) -> None:
        self._of_activated: dict[Activated, ActivatedComputation] = {}

    def activates(self, problem: Activated) -> str:
        if problem.order > HIGHEST_ORDER:
            return f"order {problem.order} of {problem.kind!r} (it supports 1..{HIGHEST_ORDER})"
        return ""

    def _activated(self, problem: Activated) -> ActivatedComputation:
        found = self._of_activated.get(problem)
        if found is None:
            made = ActivatedComputation(problem, self._device.queue(problem))
            found = keep(self._of_activated, _MOST, problem, made)
        return found

    def forward_activated(
        self, problem: Activated, operands: ActivatedOperands, y: Array, starts: Array | None
    ) -> Array:
        computation = self._activated(problem)
        last = computation.queue.empty((problem.states, problem.channels, problem.order), problem.compute_dtype)
        if problem.batch and problem.channels:
            computation.launch(False, _named(operands) | {"y": y, "last": last, "starts": starts})
        return last

    def vjp_activated(
        self,
        problem: Activated,
        operands: ActivatedOperands,
        starts: Array,
        grad_y: Array,
        grad_state: Array | None,
        targets: tuple[Array | None, ...],
        needs: ActivatedNeeds,
    ) -> ActivatedGradients:
        computation, compute = self._activated(problem), problem.compute_dtype
        queue, rows = computation.queue, problem.batch * problem.channels
        to_state = queue.empty((problem.states, problem.channels, problem.order), compute) if needs.state else None
        counts = [parameter.shape[-1] for parameter in operands.parameters]
        to_parameters = [
            queue.empty(tuple(parameter.shape), compute) if need else None
            for parameter, need in zip(operands.parameters, needs.parameters, strict=True)
        ]
        sums = queue.empty((rows, sum(counts)), "float64") if any(needs.parameters) else None
        if rows:
            given = _named(operands) | {"starts": starts, "grad_y": grad_y, "grad_last": grad_state}
            grads = {f"grad_{index}": target for index, target in enumerate(targets)}
            computation.launch(True, given | grads | {"grad_state": to_state, "sums": sums})
        wanted = [(result, sum(counts[:index])) for index, result in enumerate(to_parameters) if result is not None]
        if wanted and any(prod(result.shape) for result, _ in wanted):
            computation.fold(sums, wanted, sum(counts))
        return ActivatedGradients(tuple(to_parameters), to_state)


def _named(operands: ActivatedOperands) -> Named:
    signals, parameters, state, numbers = operands
    return {
        **{f"signal_{index}": array for index, array in enumerate(signals)},
        **{f"parameter_{index}": array for index, array in enumerate(parameters)},
        "state": state,
        "numbers": None if numbers is None else numbers[:, None],
    }
