"""How a problem is laid onto lanes, items and threads: chosen by its shape alone, never by the number of threads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from multirec.backend import Needs, Problem

from .._code.interface import places
from .._code.memory import STORAGES
from .._run.compile import vector_bytes
from .._run.launch import Launch
from .segments import worthwhile
from .spec import TILE, Spec

KNOWN_ORDER = 2
"""Up to here an order is part of the specialisation, and history lives in registers."""
SMALL = 1 << 20
"""Multiply-adds below which waking another thread costs more than it saves."""
ITEMS = 16
"""Independent pieces that work is cut into at least, where there is enough of it."""
_MOST_SUMMED, _MOST_NEIGHBOURS = 16, 8
"""Groups of lanes in an item: where a shared input's gradient is summed, and where channels are neighbours."""
_FEW, _SHORT, _NARROW, _MOST_TAPS = 8, 4, 16, 32
"""Rows that are few, vectors of channels that are few, vectors in a row of time that is narrow, and the most taps."""
LARGE = 1 << 25
"""Bytes of an output above which it is written past the caches, where it would not fit in any case."""


@dataclass(frozen=True)
class Plan:
    """What is fixed by the problem: the machine code, the walk over rows of (example, channel), the scratch memory.

    `ends` is the shape of the last outputs where they are kept in a precision of their own. `may_sweep` says whether
    arrays whose channels are neighbours have a way without tiles, and `side` how many rows go side by side where the
    taps of a sample are neighbours, or 0.
    """

    spec: Spec
    launch: Launch
    slices: int
    padded: int
    segmented: bool
    ends: tuple[int, int, int] | None
    may_sweep: bool
    side: int


@lru_cache(maxsize=512)
def plan(problem: Problem, needs: Needs | None = None, sequences: str = "") -> Plan:
    """Plan a problem, or the gradients of it that are needed; the same answer for the same shapes.

    With `sequences` a row has several: "examples" have a state each, or the sequences themselves, "counted".
    """
    vjp = needs is not None
    order, input_order = problem.order, problem.input_order
    ff, fb = problem.feedforward, problem.feedback
    ff_varies, fb_varies = (taps is not None and taps.time > 1 for taps in (ff, fb))
    spec = Spec(
        vjp=vjp,
        double=problem.compute_dtype == "float64",
        x=problem.dtype,
        y=problem.y_dtype,
        feedforward=ff.dtype if ff is not None else None,
        feedback=fb.dtype if fb is not None and order else None,
        input_order=input_order if input_order <= KNOWN_ORDER else None,
        order=order if order <= KNOWN_ORDER else None,
        shared=problem.shared,
        feedforward_varies=ff_varies,
        feedback_varies=fb_varies and order > 0,
        vector_bytes=vector_bytes(),
        grad_x=needs is not None and needs.x,
        # short histories are in registers, and their gradient is always at hand
        grad_inputs=needs is not None and needs.inputs and not needs.x and max(order, input_order) > KNOWN_ORDER,
        grad_feedforward=needs is not None and needs.feedforward,
        grad_feedback=needs is not None and needs.feedback,
        sequences=bool(sequences),
        counted=sequences == "counted",
    )
    lanes, total = spec.format.lanes, problem.batch * problem.channels
    # a group of lanes stays within one example where the example's x is shared, or its channels are neighbours
    together = problem.shared or (problem.layout != "BCT" and problem.channels >= lanes)
    together |= spec.one_example
    span = problem.channels if together else total
    blocks = -(-span // lanes)
    run = _run(problem, blocks, blocks * (total // span if span else 0), spec)
    slices = -(-blocks // run)
    items = (total // span if span else 0) * slices
    turn, kept = spec.scratch(order, input_order)
    starts, turn_bytes = places(turn)
    kept_starts, end = places(kept, turn_bytes)
    kept_bytes = end - turn_bytes
    starts |= kept_starts
    constants = (
        *(items, problem.length, problem.batch, problem.channels, span, lanes, blocks, run, order, input_order),
        *(kept_bytes, int(is_large(problem)), int(problem.reverse)),
    )
    multiply_adds = total * problem.length * (order + input_order + 1) * (3 if vjp else 1)
    return Plan(
        spec=spec,
        launch=Launch(
            spec=spec,
            call=spec.interface.call,
            constants=spec.interface.fix(constants, starts),
            scratch_bytes=turn_bytes + run * kept_bytes + 64,
            items=items,
            helpers=multiply_adds > SMALL,
        ),
        slices=slices,
        padded=-(-problem.length // TILE) * TILE,
        segmented=worthwhile(problem),
        ends=(problem.batch, problem.channels, order) if problem.state_dtype != problem.y_dtype else None,
        may_sweep=_may_sweep(problem, spec),
        side=0 if sequences else _side(problem, spec),
    )


def is_large(problem: Problem) -> bool:
    """Whether outputs are written past the caches."""
    return problem.batch * problem.channels * problem.length * STORAGES[problem.y_dtype].bytes > LARGE


def _run(problem: Problem, blocks: int, groups: int, spec: Spec) -> int:
    """Return how many groups of lanes an item takes through time side by side."""
    if spec.vjp and spec.shared and spec.grad_x:
        return max(1, min(blocks, groups // ITEMS, _MOST_SUMMED))
    return side_by_side(problem.layout, blocks, groups)


def side_by_side(layout: str, blocks: int, groups: int) -> int:
    """Return how many groups of lanes belong together: where channels are neighbours, they make longer pieces."""
    return max(1, min(blocks, groups // ITEMS, _MOST_NEIGHBOURS)) if layout != "BCT" else 1


def _may_sweep(problem: Problem, spec: Spec) -> bool:
    """Whether time may go row by row, without tiles, where the channels of all arrays are neighbours."""
    if problem.layout == "BCT" or problem.shared or not spec.in_registers or problem.channels < spec.format.width:
        return False
    # what does not change along time has gradients that are sums, which tiles add up
    sums = (spec.grad_feedforward and not spec.feedforward_varies) or (spec.grad_feedback and not spec.feedback_varies)
    return (spec.feedforward_varies or spec.feedback_varies) and not sums


def _side(problem: Problem, spec: Spec) -> int:
    """Return how many rows go side by side, as they lie in memory, where coefficients vary.

    That is where rows are few, or are neighbours with few others, or there are several taps for a sample, which tiles
    would have to pick out one by one.
    """
    p, q, channels = problem.order, problem.input_order, problem.channels
    rows, most = problem.batch * channels, max(p, q)
    several = (spec.feedback_varies and p > 1) or (spec.feedforward_varies and q > 0)
    vectors = -(-(rows if problem.layout == "TBC" else channels) // spec.format.width)
    narrow = problem.layout != "BCT" and vectors <= _NARROW and channels <= _SHORT * spec.format.width
    varies = spec.feedback_varies or spec.feedforward_varies
    chosen = rows > 0 and varies and (several or narrow or rows <= _FEW) and most <= _MOST_TAPS
    # the gradient of a shared x is a sum over rows
    if not chosen or (problem.shared and spec.grad_x):
        return 0
    # they fill the time that an output waits for the one before: as long as a multiply-add, whatever the order
    return min(4 if most <= 2 else 2 if most <= 4 else 1, 1 << rows.bit_length() - 1)
