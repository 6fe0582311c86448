"""`recurrence`, the one operation, for every array library."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, TypeAlias

from ._core.arrays import family_of, is_compiling
from ._core.axes import zeros
from ._core.problem import ComputeDtype, Layout, Problem
from ._core.state import State, state_kinds
from ._core.validate import Choices, as_choices, plan_call
from ._engine.call import call_of, launcher_of, specs_of, split_state
from ._engine.precision import SPOILED, can_widen, decided_by_values, remedy, spoiled
from ._memory.copies import copies
from ._memory.hand_over import device
from ._registry import choice
from ._registry.registry import registry
from ._sequences.bind import bound, calls_of, way_of
from ._sequences.marks import Marks, marks_of
from ._sequences.numbers import check_seen
from ._sequences.plain import recurrence as plain_sequences
from .errors import UnsupportedError

Array: TypeAlias = Any


def recurrence(
    x: Array,
    *,
    feedforward: Array | None = None,
    feedback: Array | None = None,
    state: State | tuple[Array | None, Array | None] | None = None,
    layout: Layout = "BCT",
    reverse: bool = False,
    backend: str = "auto",
    compute_dtype: ComputeDtype | None = None,
    out: Array | None = None,
    resets: Array | None = None,
    lengths: Array | Sequence[int] | None = None,
    cu_seqlens: Array | Sequence[int] | None = None,
) -> tuple[Array, State]:
    """Compute y[t] = Σ_j feedforward[j] · x[t−j] + Σ_k feedback[k−1] · y[t−k] for every example and channel.

    Parameters
    ----------
    x
        Array of NumPy, torch, JAX or CuPy in `layout`, with C channels, or 1 that serves all C.
    feedforward, feedback
        Coefficients: (C, taps) for all examples, (batch…, C, taps) for each, or time-varying with the axes of y, each
        full or 1, and taps last. C may be 1. `feedforward` None means 1; `feedback` None means none (FIR). In SciPy's
        convention feedforward = b / a[0] and feedback = −a[1:] / a[0].
    state
        What the previous call returned; None, whole or in part, means zeros. A part may have 1 where x has its batch
        axes: it then serves all examples.
    layout
        ``"BCT"`` (batch…, channels, time), ``"BTC"`` or ``"TBC"``, of x and y.
    reverse
        Run time backwards: y[t] depends on later samples, and the state's samples follow the block.
    backend
        A name of `multirec.backends()`, or ``"auto"``, which `multirec.explain` explains.
    compute_dtype
        ``"float32"`` or ``"float64"``: the precision of coefficients, of past outputs and of everything between x and
        y, not below x's. None is x's own, and float32 for half types; but float64 where rounding would spoil a filter
        whose coefficients are float64, of NumPy or torch, on the host and without a gradient. A filter is spoiled if
        it becomes unstable, or its response moves by more than 1 % of its largest. Where float64 is not available,
        such a filter is rounded, with a `RoundingWarning`.
    out
        An array of y's shape, library, device and data type that y is written to and that is returned; x itself, where
        x is not shared, but nothing else that is read. Not with gradients, inside torch.compile, or for JAX, whose
        arrays are not written to. Without it, y is new memory; besides, a call allocates the state that it returns.
    resets, lengths, cu_seqlens
        What marks sequences off in one row of time, each None, or of x's library or NumPy; see the notes.

    Returns
    -------
    y
        In x's library, device and precision, contiguous in `layout`; complex if x or a coefficient is.
    state
        `State` of the last inputs, and of the last outputs in the precision they were computed in; they own their
        memory.

    Notes
    -----
    Sequences are computed as separate calls would, values, states and gradients, in one pass where the backend's kernel
    can, else pieces of one length side by side (`explain` says which).

    * `resets`, booleans (batch…, T), in layout ``"TBC"`` (T, batch…): where True, a sequence begins. The state before
      that sample is zero, past inputs included. A state that is returned holds zeros for what is before the last reset.
    * `lengths`, integers (batch…) or a list, 0 to T: how many samples each example has; the rest of time is padding.
      y is 0 there, nothing reads x there, and each example's state is that after its own last sample. With resets.
    * `cu_seqlens`, ascending integers (S + 1) or a list, from 0 to T: where each of S sequences begins, end to end in
      the one row of a batch of (1,). Both parts of the states have S in place of that 1. With resets.

    With `reverse` they are the same sequences, each run backwards: the state that is given follows an example's last
    sample, or its sequence's, and the one that is returned lies at its first, with zeros where a reset cuts it off.
    Values of these three are checked where they are on the host. On a device nothing waits for them: lengths are cut to
    0 … T, and boundaries put in order; but what is computed piece by piece needs them on the host. The same holds for
    what JAX traces.

    Raises
    ------
    MultirecError
        Shapes, dtypes, devices or libraries that do not fit together, or a backend that cannot compute this; each
        error is also the built-in it refines (ValueError, TypeError, ImportError, NotImplementedError).

    Example
    -------
    >>> import numpy as np, multirec as mr
    >>> y, state = mr.recurrence(np.ones((1, 1, 4)), feedback=np.array([[0.5]]))
    >>> y
    array([[[1.   , 1.5  , 1.75 , 1.875]]])
    >>> state.outputs
    array([[[1.875]]])
    >>> y, state = mr.recurrence(np.ones((1, 1, 4)), feedback=np.array([[0.5]]), cu_seqlens=[0, 1, 4])
    >>> y
    array([[[1.  , 1.  , 1.5 , 1.75]]])
    >>> state.outputs
    array([[[1.  ]],
    <BLANKLINE>
           [[1.75]]])
    """
    choices = as_choices(layout, reverse, backend, compute_dtype)
    arrays = x, feedforward, feedback, *split_state(state)
    if resets is None and lengths is None and cu_seqlens is None:
        return run(arrays, choices, out)
    return run(arrays, choices, out, marks_of(resets, lengths, cu_seqlens))


def run(
    arrays: tuple[Array | None, ...], choices: Choices, out: Array | None = None, marks: Marks | None = None
) -> tuple[Array, State]:
    """Compute a recurrence of (x, feedforward, feedback, inputs, outputs); of sequences, if there are marks."""
    if marks is not None:
        return _run_sequences(arrays, choices, out, marks)
    family = family_of(arrays[0])
    # plain imports, which dynamo traces, and only once an array shows that the caller has the library
    if family == "torch":
        from ._torch.door import recurrence as torch_recurrence

        return torch_recurrence(arrays, choices, out)
    if family == "jax":
        from ._jax.door import recurrence as jax_recurrence

        return jax_recurrence(arrays, choices, out)
    torch = sys.modules.get("torch")
    if torch is not None and torch.compiler.is_compiling():
        raise _traced_by_torch()
    return launcher_of(arrays, choices)(arrays, out)


def _run_sequences(
    arrays: tuple[Array | None, ...], choices: Choices, out: Array | None, marks: Marks
) -> tuple[Array, State]:
    family = family_of(arrays[0])
    if family == "torch":
        from ._torch.sequences import recurrence as torch_recurrence

        return torch_recurrence(arrays, choices, out, marks)
    if family == "jax":
        from ._jax.sequences import recurrence as jax_recurrence

        return jax_recurrence(arrays, choices, out, marks)
    if is_compiling():
        raise _traced_by_torch()
    return plain_sequences(arrays, choices, out, marks)


def _traced_by_torch() -> UnsupportedError:
    return UnsupportedError(
        "a NumPy array reached multirec inside torch.compile, which would trace into the kernels. "
        "Pass a tensor, or call it outside of the compiled function."
    )


def explain(
    x: Array,
    *,
    feedforward: Array | None = None,
    feedback: Array | None = None,
    state: State | None = None,
    layout: Layout = "BCT",
    reverse: bool = False,
    backend: str = "auto",
    compute_dtype: ComputeDtype | None = None,
    resets: Array | None = None,
    lengths: Array | Sequence[int] | None = None,
    cu_seqlens: Array | Sequence[int] | None = None,
) -> choice.Explanation:
    """Say which backend computes this call, why each other one does not, what is copied for it, and what is rounded.

    Takes the arguments of `recurrence`; computes nothing. With a `backend`, it is about that one instead of about the
    one that ``"auto"`` picks.

    Example
    -------
    >>> import numpy as np, multirec as mr
    >>> mr.explain(np.ones((1, 4)), feedback=np.array([[0.5]])).candidates["reference"].ok
    True
    >>> print(mr.explain(np.ones((1, 4), ">f8"), feedback=np.array([[0.5]])).notes[0])
    x has its bytes in another order than this machine's: it is copied once
    """
    arrays = (x, feedforward, feedback, *split_state(state))
    choices = as_choices(layout, reverse, backend, compute_dtype)
    specs = specs_of(arrays)
    marks = marks_of(resets, lengths, cu_seqlens)
    call = plan_call(*specs, choices) if marks is None else calls_of(arrays, marks, choices)[0]
    if marks is not None:
        check_seen(marks, call.problem)
    found = spoiled(call, arrays) if decided_by_values(specs, choices) else ""
    if found:
        wide = can_widen(x, backend)
        precision: ComputeDtype = "float64" if wide else "float32"
        choices = choices._replace(compute_dtype=precision)
        found = f"{SPOILED} {found}. {'It is computed in float64.' if wide else remedy(backend)}"
        call = call._replace(problem=replace(call.problem, compute_dtype=precision))
    if call.problem.family == "jax":
        from ._jax.door import check_64_bit

        check_64_bit(call)
    problem, way = (call.problem, ()) if marks is None else _way_of(arrays, marks, choices)
    explanation = choice.explain_problem(problem, backend)
    if explanation.chosen is None:
        return explanation
    notes = copies(call, arrays, registry.info(explanation.chosen).family)
    return replace(explanation, notes=(*([found] if found else []), *notes, *way))


def _way_of(arrays: tuple[Array | None, ...], marks: Marks, choices: Choices) -> tuple[Problem, tuple[str, ...]]:
    """Return the problem that a backend is to compute, and how sequences are, in words."""
    found = bound(arrays, marks, choices)
    if found.call.problem.family != "jax":
        return way_of(found)
    from ._jax.sequences import way_of as way_of_jax

    return way_of_jax(found, marks, choices)


def zero_state(
    x: Array,
    *,
    feedforward: Array | None = None,
    feedback: Array | None = None,
    layout: Layout = "BCT",
    reverse: bool = False,
    compute_dtype: ComputeDtype | None = None,
) -> State:
    """Return zeros of the shapes and data types of the state that `recurrence` returns for these arguments.

    To `recurrence` it is what None is. A loop whose carry must not change its type begins with it, such as
    `jax.lax.scan`.

    Parameters
    ----------
    x
        As in `recurrence`, or a `jax.ShapeDtypeStruct`. How long it is does not matter.
    feedforward, feedback, layout, reverse, compute_dtype
        As in `recurrence`. The precision that is computed in decides the data type of past outputs, so a float64 design
        for float32 signals is looked at here as it is there.

    Returns
    -------
    State
        In x's library, on its device; nothing needs a gradient.

    Raises
    ------
    MultirecError
        As in `recurrence`, for what does not fit together.

    Example
    -------
    >>> import numpy as np, multirec as mr
    >>> x, a = np.ones((2, 1, 8), "float16"), np.array([[0.5, 0.2], [0.1, 0.3], [0.4, 0.4]], "float32")
    >>> state = mr.zero_state(x, feedback=a)
    >>> state.outputs.shape, str(state.outputs.dtype)
    ((2, 3, 2), 'float32')
    >>> for block in np.split(x, 4, axis=-1):
    ...     y, state = mr.recurrence(block, feedback=a, state=state)
    """
    arrays = (x, feedforward, feedback, None, None)
    choices = as_choices(layout, reverse, "auto", compute_dtype)
    jax = sys.modules.get("jax")
    if jax is not None and isinstance(x, (jax.Array, jax.ShapeDtypeStruct)):
        from ._jax.door import zero_state as zero_state_of_jax

        return zero_state_of_jax(arrays, choices)
    call = call_of(arrays, choices)
    kinds = state_kinds(call.problem, call.batch_shape)
    with device(call.problem) if call.problem.family == "cupy" else nullcontext():
        return State(*(zeros(x, shape, dtype) for shape, dtype in kinds))
