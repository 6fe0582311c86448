"""Gradients of x, frames and state: the kernel's against those of expanded coefficients, and every other derivative."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from frames.expansion import CASES, Case, arrays_of, expanded

import multirec as mr
from multirec._frames import launch
from multirec.errors import ArgumentError

CASE = CASES[0]


def tensors_of(case: Case) -> list[torch.Tensor]:
    return [torch.tensor(part, requires_grad=True) for part in arrays_of(case)]


def run(*tensors: Any, case: Case, interpolation: Any = "linear", backend: str = "numba") -> tuple[torch.Tensor, ...]:
    x, b, a, past = tensors
    y, state = mr.framed_recurrence(
        x, feedforward=b, feedback=a, hop=case.hop, offset=case.offset, interpolation=interpolation,
        state=mr.State(None, past), backend=backend,
    )  # fmt: skip
    return y, state.outputs


def by_samples(*tensors: Any, case: Case, interpolation: Any) -> tuple[torch.Tensor, ...]:
    """The same by way of a matrix from frames to samples."""
    x, b, a, past = tensors
    count = a.shape[2]
    weights = torch.tensor(expanded(np.eye(count), case.length, case.hop, case.offset, interpolation))
    b, a = (torch.einsum("tf,bcfk->bctk", weights, part) for part in (b, a))
    y, state = mr.recurrence(x, feedforward=b, feedback=a, state=mr.State(None, past), backend="torch_loop")
    return y, state.outputs


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("interpolation", ["linear", "hold"])
@pytest.mark.parametrize("backend", ["numba", "torch_loop"])
def test_gradients(backend: str, interpolation: str, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    used, kernel = [], launch.FramesLauncher._vjp
    monkeypatch.setattr(launch.FramesLauncher, "_vjp", lambda self, *given: used.append(1) or kernel(self, *given))
    tensors = tensors_of(case)
    found = run(*tensors, case=case, interpolation=interpolation, backend=backend)
    weights = [torch.randn_like(part) for part in found]
    expected = by_samples(*tensors, case=case, interpolation=interpolation)
    got = torch.autograd.grad(found, tensors, weights)
    wanted = torch.autograd.grad(expected, tensors, weights)
    assert bool(used) is (backend == "numba")
    for name, own, other in zip(("x", "gain", "feedback", "state"), got, wanted, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-10, atol=1e-11, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("layout", ["BCT", "BTC", "TBC"])
@pytest.mark.parametrize("short", ["feedforward", "feedback"])
@pytest.mark.parametrize("backend", ["numba", "torch_loop"])
def test_one_coefficient_may_have_the_frame_to_go_to_and_the_other_not(backend: str, short: str, layout: str) -> None:
    axes = {"BCT": (0, 1, 2, 3), "BTC": (0, 2, 1, 3), "TBC": (2, 0, 1, 3)}[layout]
    x, b, a, _ = tensors_of(CASE)
    parts = {"feedforward": b, "feedback": a}
    own = parts | {short: parts[short][:, :, :-1]}
    same = parts | {short: torch.cat([own[short], own[short][:, :, -1:]], 2)}
    outs = [
        mr.framed_recurrence(
            x.permute(axes[:3]), **{name: part.permute(axes) for name, part in given.items()}, hop=CASE.hop,
            offset=CASE.offset, layout=layout, backend=backend,
        )[0]
        for given in (own, same)
    ]  # fmt: skip
    assert torch.equal(*outs)
    found, wanted = (torch.autograd.grad(y.square().sum(), [x, b, a]) for y in outs)
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("wanted", [(0,), (2,), (0, 3), (1, 2)])
def test_a_part_of_the_gradients(wanted: tuple[int, ...]) -> None:
    tensors = tensors_of(CASE)
    whole = torch.autograd.grad(run(*tensors, case=CASE)[0].square().sum(), tensors)
    own = [part.detach().requires_grad_(place in wanted) for place, part in enumerate(tensors)]
    found = torch.autograd.grad(run(*own, case=CASE)[0].square().sum(), [own[place] for place in wanted])
    for place, gradient in zip(wanted, found, strict=True):
        torch.testing.assert_close(gradient, whole[place])


SMALL = Case(4, 3, 1, 2, 2, 1, 1, (2, 1), 0)


@pytest.mark.long
def test_second_derivatives() -> None:
    tensors, own = tuple(tensors_of(SMALL)), partial(run, case=SMALL)
    assert torch.autograd.gradcheck(own, tensors, fast_mode=True)
    assert torch.autograd.gradgradcheck(own, tensors, fast_mode=True)
    x, *others = (part.detach() for part in tensors)
    assert torch.autograd.gradgradcheck(lambda x: own(x, *others), x.requires_grad_(), fast_mode=True)


@pytest.mark.long
def test_transforms() -> None:
    x, b, a, past = (part.detach() for part in tensors_of(SMALL))

    def loss(a: torch.Tensor) -> torch.Tensor:
        return run(x, b, a, past, case=SMALL)[0].square().sum()

    expected = torch.autograd.functional.hessian(loss, a)
    torch.testing.assert_close(torch.func.hessian(loss)(a), expected)


def test_frames_of_numpy_and_changed_tensors() -> None:
    x, b, a, past = tensors_of(CASE)
    y, _ = mr.framed_recurrence(x, feedback=a.detach().numpy(), hop=CASE.hop, offset=CASE.offset)
    (grad,) = torch.autograd.grad(y.sum(), x)
    y, _ = mr.framed_recurrence(x, feedback=a.detach(), hop=CASE.hop, offset=CASE.offset)
    torch.testing.assert_close(grad, torch.autograd.grad(y.sum(), x)[0])
    y, _ = run(x, b, a, past, case=CASE)
    a.data = a.data[:, :, :5]
    with pytest.raises(ArgumentError, match="feedback was of shape"):
        y.sum().backward()


@pytest.mark.long
def test_compiled() -> None:
    x, b, a, past = (part.detach() for part in tensors_of(CASE))
    own = partial(run, case=CASE)
    compiled = torch.compile(own, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, b, a, past), own(x, b, a, past))
