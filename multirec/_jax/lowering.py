"""How JAX runs and compiles the primitives: on the devices of a program, and where XLA can call the host."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any

import jax
from jax.interpreters import mlir

from .._core.validate import Choices
from .._engine.plan import Plan
from .._registry.registry import registry
from ..errors import FamilyError
from . import cascades, compute, marked
from .divided import divided, knows_devices
from .primitives import CASCADE, RECURRENCE, SEQUENCES, Form, Operation
from .rows import Rows

__all__: list[str] = []


def _compile(
    primitive: Any, function: Callable[..., Any], shape: Callable[..., Any], plan_of: Callable[..., Plan]
) -> None:
    compiled: Any = jax.jit(function, static_argnames=("form", "choices"))
    # a backend of the same name may be another
    registry.watchers.append(compiled.clear_cache)
    primitive.def_impl(compiled)
    primitive.def_abstract_eval(shape)
    knows_devices.add(primitive)
    mlir.register_lowering(primitive, _lowering(function, plan_of))


def _lowering(function: Callable[..., Any], plan_of: Callable[..., Plan]) -> Callable[..., Any]:
    def rule(context: Any, *parts: Any, form: Form, choices: Choices) -> Any:
        # inside `shard_map` each device computes its own part, so kernels need not know of the mesh
        own = [jax.core.ShapedArray(aval.shape, aval.dtype) for aval in context.avals_in]
        plan, program = plan_of(own, form, choices), context.module_context
        divides = _divides(program)
        choices = _placed(program, plan, choices, divides)
        compute: Callable[..., Any] = partial(function, form=form, choices=choices)
        if divides:
            problem = plan.problem
            compute = divided(compute, Rows(None if form.states is not None else problem.batch, problem.channels))
        with jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), ())):
            return mlir.lower_fun(compute, multiple_results=True)(context.replace(avals_in=own), *parts)

    return rule


def _divides(program: Any) -> bool:
    """Whether XLA divides a program over devices whose mesh it knows; what is exported cannot ask us how."""
    axes = program.axis_context
    mesh = getattr(axes, "abstract_mesh", None)
    is_cut = mesh is not None and not mesh.empty and axes.num_devices > 1
    return is_cut and not program.lowering_parameters.for_export


def _placed(program: Any, plan: Plan, choices: Choices, divides: bool) -> Choices:
    """Return choices that a program can compute: XLA neither divides a call to the host nor makes one on a GPU."""
    if plan.info.family == "jax":
        return choices
    axes, devices = program.axis_context, getattr(program.axis_context, "num_devices", 1)
    if hasattr(axes, "manual_axes"):
        devices = prod(size for axis, size in axes.mesh.shape.items() if axis not in axes.manual_axes)
    if set(program.platforms) != {"cpu"}:
        where, way_out = f"for {' and '.join(program.platforms)}", "compile it for cpu alone"
    elif devices > 1 and not divides:
        where, way_out = f"for {devices} devices, dividing it itself", "divide the work with jax.shard_map"
    elif program.lowering_parameters.for_export and choices.backend == "auto":
        # whoever loads it may not have multirec
        return choices._replace(backend="jax")
    else:
        return choices
    if choices.backend == "auto":
        return choices._replace(backend="jax")
    raise FamilyError(
        f"JAX compiles this program {where}, and backend {choices.backend!r} computes on one CPU. Ask for "
        f"backend='jax', or {way_out}."
    )


def _compile_all(operation: Operation, of: Any) -> None:
    _compile(operation.run, of.run, of.run_shape, of.plan_of)
    _compile(operation.push, of.push, of.push_shape, of.plan_of)
    _compile(operation.pull, of.pull, of.pull_shape, of.plan_of)


_compile_all(RECURRENCE, compute)
_compile_all(CASCADE, cascades)
_compile_all(SEQUENCES, marked)
