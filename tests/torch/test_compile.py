"""torch.compile, export and opcheck: one opaque operator, no graph break, dynamic T."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import multirec as mr

BACKENDS = ["reference", "torch_loop", "unfold_scan", "numba"]


def tensors(length: int = 9, grad: bool = True) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(length)
    shapes = ((2, 1, length), (3, 2), (3, 2))
    scales = (1.0, 1.0, 0.3)
    return [
        (scale * torch.randn(shape, dtype=torch.float64, generator=generator)).requires_grad_(grad)
        for shape, scale in zip(shapes, scales, strict=True)
    ]


def scaled(backend: str) -> Any:
    def call(x: torch.Tensor, b: torch.Tensor, a: torch.Tensor) -> tuple[torch.Tensor, mr.State]:
        y, state = mr.recurrence(x, feedforward=b, feedback=a, backend=backend)
        return 2 * y, state

    return call


def gradients(call: Any, length: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    inputs = tensors(length)
    y, state = call(*inputs)
    (y.square().sum() + state.outputs.sum() + state.inputs.sum()).backward()
    return y.detach(), [tensor.grad for tensor in inputs]


@pytest.fixture(autouse=True)
def _fresh_dynamo() -> None:
    torch._dynamo.reset()


@pytest.mark.parametrize("backend", [*BACKENDS, "auto"])
def test_fullgraph_with_dynamic_time(backend: str) -> None:
    call = scaled(backend)
    graphs = []

    def count(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Any:
        graphs.append(graph)
        return torch._dynamo.lookup_backend("aot_eager")(graph, inputs)

    compiled = torch.compile(call, fullgraph=True, dynamic=True, backend=count)
    for length in (7, 9, 12):
        y, grads = gradients(compiled, length)
        expected_y, expected = gradients(call, length)
        torch.testing.assert_close(y, expected_y)
        for got, want in zip(grads, expected, strict=True):
            torch.testing.assert_close(got, want)
    assert len(graphs) == 1


def test_compiled_backward_is_the_fused_adjoint() -> None:
    from functorch.compile import make_boxed_func
    from torch._dynamo.backends.common import aot_autograd

    targets: list[list[str]] = []

    def collect(graph: torch.fx.GraphModule, _: Any) -> Any:
        targets.append([str(node.target) for node in graph.graph.nodes if node.op == "call_function"])
        return make_boxed_func(graph.forward)

    compiled = torch.compile(
        scaled("numba"), fullgraph=True, backend=aot_autograd(fw_compiler=collect, bw_compiler=collect)
    )
    gradients(compiled, 9)
    forward, backward = targets
    assert forward.count("multirec.forward.default") == 1
    assert backward.count("multirec.adjoint.default") == 1
    assert "multirec.forward.default" not in backward


def test_inductor() -> None:
    call = scaled("numba")
    y, grads = gradients(torch.compile(call, fullgraph=True), 11)
    expected_y, expected = gradients(call, 11)
    torch.testing.assert_close(y, expected_y)
    for got, want in zip(grads, expected, strict=True):
        torch.testing.assert_close(got, want)


def test_compiled_without_gradient() -> None:
    compiled = torch.compile(scaled("numba"), fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        y, state = compiled(*tensors())
        expected, expected_state = scaled("numba")(*tensors())
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(state.outputs, expected_state.outputs)


def test_compiled_errors_keep_their_words() -> None:
    compiled = torch.compile(scaled("nubma"), fullgraph=True, backend="aot_eager")
    with pytest.raises(Exception, match="Did you mean 'numba'"):
        compiled(*tensors())


def test_export_with_dynamic_time() -> None:
    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.feedback = torch.nn.Parameter(tensors()[2].detach())
            self.bank = mr.RecurrenceBank(feedback=self.feedback, backend="numba")

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.bank(x)[0]

    model, x = Model(), torch.randn(2, 1, 9, dtype=torch.float64)
    program = torch.export.export(model, (x,), dynamic_shapes=({2: torch.export.Dim("T", min=2, max=1000)},))
    longer = torch.randn(2, 1, 31, dtype=torch.float64)
    for signal in (x, longer):
        torch.testing.assert_close(program.module()(signal), model(signal))


@pytest.mark.parametrize("layout", ["BCT", "TBC"])
def test_opcheck(layout: str) -> None:
    x, b, a = tensors()
    x = x if layout == "BCT" else x.detach().permute(2, 0, 1).contiguous().requires_grad_()
    torch.library.opcheck(torch.ops.multirec.recurrence.default, (x, b, a, None, None, layout, False, "numba"))


def test_opcheck_of_the_raw_operators() -> None:
    x, b, a = (tensor.detach() for tensor in tensors())
    b, a, y = b[None, :, None], a[None, :, None], torch.randn(2, 3, 9, dtype=torch.float64)
    inputs, outputs = torch.randn(2, 1, 1, dtype=torch.float64), torch.randn(2, 3, 2, dtype=torch.float64)
    operands, choices = (x, b, a, inputs, outputs), ("BTC", True, "numba")
    torch.library.opcheck(torch.ops.multirec.forward.default, (*operands, *choices))
    torch.library.opcheck(torch.ops.multirec.adjoint.default, (*operands, y, y, None, None, [True] * 5, *choices))


def test_numpy_coefficients_are_compiled_in() -> None:
    bank = mr.RecurrenceBank.from_ba([1.0, 0.0, -1.0], [1.0, -0.5, 0.2])
    x = torch.randn(2, 1, 6)
    compiled = torch.compile(lambda x: bank(x)[0], fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), bank(x)[0])


@pytest.mark.long
def test_banks_of_live_designs_are_compiled() -> None:
    b, a = (torch.nn.Parameter(torch.tensor(part)) for part in ([1.0, 0.0, -1.0], [2.0, -0.5, 0.2]))
    bank, x = mr.RecurrenceBank.from_ba(b, a), torch.randn(2, 1, 6)
    compiled = torch.compile(lambda x: bank(x)[0], fullgraph=True, backend="aot_eager")
    made = torch.compile(
        lambda x, b, a: mr.RecurrenceBank.from_ba(b, a)(x)[0], fullgraph=True, backend="aot_eager", dynamic=True
    )
    for function in (lambda: compiled(x), lambda: made(x, b, a), lambda: made(x[..., :3], b, a)):
        y = function()
        expected = bank(x[..., : y.shape[-1]])[0]
        torch.testing.assert_close(y, expected)
        found, wanted = (torch.autograd.grad(part.sum(), (b, a)) for part in (y, expected))
        torch.testing.assert_close(found, wanted)


def test_numpy_input_of_a_compiled_function_is_refused() -> None:
    x, a = tensors()[0].detach().numpy(), tensors()[2].detach().numpy()
    compiled = torch.compile(lambda x: mr.recurrence(x, feedback=a)[0], fullgraph=True, backend="aot_eager")
    with pytest.raises(Exception, match=r"Pass a tensor"):
        compiled(x)


def test_a_tangent_is_never_lost() -> None:
    x, _, a = (tensor.detach() for tensor in tensors())

    def call(u: torch.Tensor) -> torch.Tensor:
        return mr.recurrence(x, feedback=u)[0]

    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(a, torch.ones_like(a))
        expected = torch.autograd.forward_ad.unpack_dual(call(dual)).tangent
        assert expected is not None
        with pytest.raises(Exception, match=r"forward-mode derivatives inside torch.compile"):
            torch.compile(call, fullgraph=True, backend="aot_eager")(dual)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.filterwarnings("ignore")
def test_traced_calls_keep_the_operator(backend: str) -> None:
    x, b, a = (tensor.detach() for tensor in tensors())
    traced = torch.jit.trace(lambda x: mr.recurrence(x, feedforward=b, feedback=a, backend=backend)[0], x)
    torch.testing.assert_close(traced(x + 1), mr.recurrence(x + 1, feedforward=b, feedback=a, backend=backend)[0])
