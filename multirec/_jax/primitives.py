"""The recurrence as JAX primitives: forward and reverse derivatives, vmap and jit, to any order.

=========  ====================================================  =============================
primitive  computes                                              its derivative
=========  ====================================================  =============================
`run_p`    y of canonical operands, and its last samples         `push_p`
`push_p`   their derivatives along moves of operands: linear     itself; transposed: `pull_p`
`pull_p`   gradients of operands given those of both: linear     itself; transposed: `push_p`
=========  ====================================================  =============================

The last samples are in the state's type, which may be wider than y's.

`pull_p` is the backend's own adjoint, in one pass. Where push and pull are themselves differentiated along their
operands, their formulas are computed by `run_p`. JAX transposes without conjugating; backends do conjugate.
Backends of JAX are traced; those of NumPy are called by the program, on one CPU device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import compress
from math import prod
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad as _ad
from jax.interpreters import batching, mlir

from .._calculus import formula
from .._core.axes import ends
from .._core.problem import Spec, in_precision, plan_problem, real_precision
from .._core.validate import Choices
from .._engine.plan import Plan, plan_for
from ..backend import Needs, Operands
from ..errors import FamilyError, UnsupportedError
from .batching import map_pull, map_push, map_run
from .form import Form
from .host_call import call

__all__ = ["apply"]

Array: TypeAlias = Any

# JAX has no types for it
ad: Any = _ad


def apply(operands: Operands, device: str, choices: Choices) -> tuple[Array, Array]:
    """Return y (B, C, T) of canonical operands and its last min(p, T) samples, differentiably."""
    form = Form(device, tuple(part is not None for part in operands))
    y, last = run_p.bind(*_uniform([part for part in operands if part is not None]), form=form, choices=choices)
    return y, last


def _uniform(parts: list[Array]) -> list[Array]:
    """Return arrays that vary along the same axes of the mesh, inside `shard_map`."""
    varying = [_axes(part) for part in parts]
    union = frozenset[str]().union(*varying)
    return [
        jax.lax.pcast(part, tuple(sorted(union - own)), to="varying") if union - own else part
        for part, own in zip(parts, varying, strict=True)
    ]


def _axes(part: Array) -> frozenset[str]:
    kind = getattr(jax.typeof(part), "manual_axis_type", None)
    return getattr(kind, "varying", frozenset())


def _unpack(parts: Sequence[Any], mask: tuple[bool, ...]) -> Operands:
    """Return flat arguments as operands, with None for those that are not there."""
    rest = iter(parts)
    return Operands(*(next(rest) if there else None for there in mask))


def _plan(operands: Operands, form: Form, choices: Choices) -> Plan:
    specs = [
        None if part is None else Spec(tuple(part.shape), str(part.dtype), "jax", form.device) for part in operands[:3]
    ]
    problem = plan_problem(*specs, choices.layout, choices.reverse, choices.compute_dtype)
    return plan_for(problem, choices.backend)


def _runner(form: Form, choices: Choices) -> formula.Run:
    """Return the recurrence as `_formula` calls it: differentiable, so that derivatives of any order follow."""

    def run(operands: Operands, reverse: bool) -> Array:
        return apply(operands, form.device, choices._replace(reverse=reverse))[0]

    return run


def _run(*parts: Array, form: Form, choices: Choices) -> list[Array]:
    operands = _unpack(parts, form.given)
    plan = _plan(operands, form, choices)
    if plan.info.family == "jax":
        return list(plan.forward(operands))
    return call(plan, form.given, None, parts, _run_shape(*map(jax.typeof, parts), form=form, choices=choices))


def _push(*parts: Array, form: Form, choices: Choices) -> list[Array]:
    operands, y, moves = _split_linear(parts, form)
    problem, reverse = _plan(operands, form, choices).problem, choices.reverse
    wide = partial(_wide, operands.x, choices)
    given, moving = Operands(*map(wide, operands)), Operands(*map(wide, moves))
    tangent = formula.tangent(_runner(form, choices), given, moving, wide(y), reverse)
    return [tangent.astype(y.dtype), ends(tangent, problem.order, reverse).astype(problem.state_dtype)]


def _pull(*parts: Array, form: Form, choices: Choices) -> list[Array]:
    operands, y, grads = _split_flat(parts, form)
    plan, (grad_y, grad_last) = _plan(operands, form, choices), (grad.conj() for grad in grads)
    if plan.info.family == "jax":
        return _flat_gradients(plan.vjp(operands, y, grad_y, None, grad_last, Needs(*form.moved)), operands, form)
    # y is read for the gradient of feedback alone, and need not be computed for the others
    given = [*parts[: form.size], y if form.moved[2] else grad_y, grad_y, grad_last]
    return [grad.conj() for grad in call(plan, form.given, form.moved, given, list(compress(operands, form.moved)))]


def _pull_formula(*parts: Array, form: Form, choices: Choices) -> list[Array]:
    operands, y, grads = _split_flat(parts, form)
    wide, reverse = partial(_wide, operands.x, choices), choices.reverse
    grad_y, grad_last = (wide(grad.conj()) for grad in grads)
    gap = grad_y.shape[-1] - grad_last.shape[-1]
    grad_y = grad_y + jnp.pad(grad_last, ((0, 0), (0, 0), (0, gap) if reverse else (gap, 0)))
    given = Operands(*map(wide, operands))
    found = formula.gradients(_runner(form, choices), given, wide(y), grad_y, Needs(*form.moved), reverse)
    return _flat_gradients(found, operands, form)


def _flat_gradients(found: Any, operands: Operands, form: Form) -> list[Array]:
    """Return the gradients that are wanted, in JAX's convention and the operands' dtypes."""
    pairs = zip(compress(found, form.moved), compress(operands, form.moved), strict=True)
    return [grad.conj().astype(operand.dtype) for grad, operand in pairs]


def _split_flat(parts: Sequence[Array], form: Form) -> tuple[Operands, Array, Sequence[Array]]:
    return _unpack(parts[: form.size], form.given), parts[form.size], parts[form.size + 1 :]


def _split_linear(parts: Sequence[Array], form: Form) -> tuple[Operands, Array, Operands]:
    operands, y, moves = _split_flat(parts, form)
    return operands, y, _unpack(moves, form.moved)


def _wide(x: Array, choices: Choices, part: Array | None) -> Any:
    """Return a part in the precision that derivatives are computed in, which is that of the recurrence."""
    if part is None:
        return None
    return part.astype(in_precision(str(part.dtype), choices.compute_dtype or real_precision(str(x.dtype))))


def _primitive(name: str, function: Callable[..., Any], shape: Callable[..., Any]) -> Any:
    primitive: Any = Primitive(f"multirec_{name}")
    primitive.multiple_results = True
    primitive.def_impl(jax.jit(function, static_argnames=("form", "choices")))
    primitive.def_abstract_eval(shape)
    mlir.register_lowering(primitive, _lowering(function))
    return primitive


def _lowering(function: Callable[..., Any]) -> Callable[..., Any]:
    lower = mlir.lower_fun(function, multiple_results=True)

    def rule(context: Any, *parts: Any, form: Form, choices: Choices) -> Any:
        # inside `shard_map` each device computes its own part, so kernels need not know of the mesh
        own = [jax.core.ShapedArray(aval.shape, aval.dtype) for aval in context.avals_in]
        choices = _placed(context.module_context, _plan(_unpack(own, form.given), form, choices), choices)
        return lower(context.replace(avals_in=own), *parts, form=form, choices=choices)

    return rule


def _placed(program: Any, plan: Plan, choices: Choices) -> Choices:
    """Return choices that a program can compute: XLA neither divides a call to the host nor makes one on a GPU."""
    if plan.info.family == "jax":
        return choices
    axes, devices = program.axis_context, getattr(program.axis_context, "num_devices", 1)
    if hasattr(axes, "manual_axes"):
        devices = prod(size for axis, size in axes.mesh.shape.items() if axis not in axes.manual_axes)
    if set(program.platforms) != {"cpu"}:
        where, way_out = f"for {' and '.join(program.platforms)}", "compile it for cpu alone"
    elif devices > 1:
        where, way_out = f"for {devices} devices, dividing it itself", "divide the work with jax.shard_map"
    else:
        return choices
    if choices.backend == "auto":
        return choices._replace(backend="jax")
    raise FamilyError(
        f"JAX compiles this program {where}, and backend {choices.backend!r} computes on one CPU. Ask for "
        f"backend='jax', or {way_out}."
    )


def _run_shape(*parts: Any, form: Form, choices: Choices) -> Any:
    operands = _unpack(parts, form.given)
    problem = _plan(operands, form, choices).problem
    kinds = (problem.length, problem.y_dtype), (min(problem.order, problem.length), problem.state_dtype)
    return [
        operands.x.update(shape=(problem.batch, problem.channels, count), dtype=jnp.dtype(dtype), weak_type=False)
        for count, dtype in kinds
    ]


def _push_shape(*parts: Any, form: Form, choices: Choices) -> Any:
    return _run_shape(*parts[: form.size], form=form, choices=choices)


def _pull_shape(*parts: Any, form: Form, choices: Choices) -> Any:
    return [part.update(weak_type=False) for part in compress(_unpack(parts, form.given), form.moved)]


run_p: Any = _primitive("run", _run, _run_shape)
push_p: Any = _primitive("push", _push, _push_shape)
pull_p: Any = _primitive("pull", _pull, _pull_shape)


def _run_jvp(primals: Any, tangents: Any, *, form: Form, choices: Choices) -> Any:
    y, last = run_p.bind(*primals, form=form, choices=choices)
    moves = _unpack(tangents, form.given)
    moved = tuple(move is not None and type(move) is not ad.Zero for move in moves)
    parts = _uniform([*primals, y, *compress(moves, moved)])
    return [y, last], push_p.bind(*parts, form=form._replace(moved=moved), choices=choices)


def _linear_jvp(
    primitive: Any, formula: Callable[..., Any], primals: Any, tangents: Any, *, form: Form, choices: Choices
) -> Any:
    """Differentiate push or pull: along what they are linear in, they are their own derivative."""
    results = primitive.bind(*primals, form=form, choices=choices)
    fixed = form.size + 1
    live = [type(tangent) is not ad.Zero for tangent in tangents]
    if not any(live[:fixed]):
        moves = [ad.instantiate_zeros(tangent) for tangent in tangents[fixed:]]
        return results, primitive.bind(*primals[:fixed], *moves, form=form, choices=choices)

    def of_live(*moving: Array) -> Any:
        rest = iter(moving)
        parts = [next(rest) if is_live else part for part, is_live in zip(primals, live, strict=True)]
        return formula(*_uniform(parts), form=form, choices=choices)

    return results, jax.jvp(of_live, tuple(compress(primals, live)), tuple(compress(tangents, live)))[1]


def _run_transpose(grads: Any, *parts: Any, form: Form, choices: Choices) -> Any:
    """Transpose the recurrence as a function of signals, or of feedforward, as `jax.linear_transpose` wants."""
    moving = iter(ad.is_undefined_primal(part) for part in parts)
    moved = tuple(there and next(moving) for there in form.given)
    x, feedforward, feedback, inputs, _ = moved
    if feedback or (feedforward and (x or inputs)):
        raise UnsupportedError(
            "JAX asks for the transpose of a recurrence along feedback, or along feedforward and its inputs at once, "
            "and y is not linear in them. Transpose along x and the state, or along feedforward alone, or use jax.vjp."
        )
    if all(type(grad) is ad.Zero for grad in grads):
        return [None] * len(parts)
    grad_y, grad_last = map(ad.instantiate_zeros, grads)
    # what is linear does not depend on where its derivative is taken
    fixed = [jnp.zeros(part.aval.shape, part.aval.dtype) if ad.is_undefined_primal(part) else part for part in parts]
    linear = _uniform([*fixed, jnp.zeros_like(grad_y), grad_y, grad_last])
    found = iter(pull_p.bind(*linear, form=form._replace(moved=moved), choices=choices))
    return [next(found) if ad.is_undefined_primal(part) else None for part in parts]


def _push_transpose(grads: Any, *parts: Any, form: Form, choices: Choices) -> Any:
    fixed = form.size + 1
    wanted = [ad.is_undefined_primal(part) for part in parts[fixed:]]
    if all(type(grad) is ad.Zero for grad in grads) or not any(wanted):
        return [None] * len(parts)
    still = iter(wanted)
    needs = form._replace(moved=tuple(moved and next(still) for moved in form.moved))
    linear = _uniform([*parts[:fixed], *map(ad.instantiate_zeros, grads)])
    found = iter(pull_p.bind(*linear, form=needs, choices=choices))
    return [None] * fixed + [next(found) if is_wanted else None for is_wanted in wanted]


def _pull_transpose(moves: Any, *parts: Any, form: Form, choices: Choices) -> Any:
    fixed = form.size + 1
    live = [type(move) is not ad.Zero for move in moves]
    wanted = [ad.is_undefined_primal(part) for part in parts[fixed:]]
    if not any(live) or not any(wanted):
        return [None] * len(parts)
    still = iter(live)
    moved = form._replace(moved=tuple(wanted and next(still) for wanted in form.moved))
    linear = _uniform([*parts[:fixed], *compress(moves, live)])
    found = push_p.bind(*linear, form=moved, choices=choices)
    return [None] * fixed + [part if is_wanted else None for part, is_wanted in zip(found, wanted, strict=True)]


ad.primitive_jvps[run_p] = _run_jvp
ad.primitive_jvps[push_p] = partial(_linear_jvp, push_p, _push)
ad.primitive_jvps[pull_p] = partial(_linear_jvp, pull_p, _pull_formula)
ad.primitive_transposes[run_p] = _run_transpose
ad.primitive_transposes[push_p] = _push_transpose
ad.primitive_transposes[pull_p] = _pull_transpose


batching.primitive_batchers[run_p] = partial(map_run, run_p)
batching.primitive_batchers[push_p] = partial(map_push, push_p)
batching.primitive_batchers[pull_p] = partial(map_pull, pull_p)
