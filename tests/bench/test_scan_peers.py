"""Adapters of peers that need a GPU or a package, held to the oracle with stand-ins that do what their sources say."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from multirec.bench.cases.case import MODES, Case
from multirec.bench.cases.judge import judge
from multirec.bench.cases.named import case_named
from multirec.bench.cases.reference import compute, kept
from multirec.bench.cases.window import cut_signals, drawn_window
from multirec.bench.contestants import registered

torch = pytest.importorskip("torch")

GATED = replace(case_named("gated"), batch=2, channels=9, length=32)
BIQUADS = replace(case_named("biquads"), batch=2, channels=9, length=60)


def looped(gates: Any, x: Any, axis: int) -> Any:
    y = [x.select(axis, 0)]
    for t in range(1, x.shape[axis]):
        y.append(gates.select(axis, t) * y[-1] + x.select(axis, t))
    return torch.stack(y, axis)


def scan(gates: Any, tokens: Any) -> Any:
    assert gates.shape == tokens.shape
    assert gates.is_contiguous()
    assert tokens.is_contiguous()
    return looped(gates, tokens, -1)


def fused_recurrent_hgrn(x: Any, g: Any) -> Any:
    return looped(g.exp(), x, 1), None


class Biquad(torch.nn.Module):  # type: ignore[misc]
    """A module that goes on from where its last call ended."""

    def __init__(self, cutoff: float, q: float, fs: int | None = None) -> None:
        super().__init__()
        self.past: Any = None

    def _finalize_coeffs(self, b0: float, b1: float, b2: float, a0: float, a1: float, a2: float) -> None:
        self.row = [part / a0 for part in (b0, b1, b2, a1, a2)]

    def reset_state(self) -> None:
        self.past = None

    def forward(self, x: Any) -> Any:
        self.compute_coefficients()  # type: ignore[operator]
        b0, b1, b2, a1, a2 = self.row
        x1, x2, y1, y2 = self.past or [x.new_zeros(len(x))] * 4
        y = []
        for now in x.unbind(-1):
            y.append(b0 * now + b1 * x1 + b2 * x2 - a1 * y1 - a2 * y2)
            x1, x2, y1, y2 = now, x1, y[-1], y1
        self.past = [x1, x2, y1, y2]
        return torch.stack(y, -1)


STANDINS: dict[str, dict[str, dict[str, Any]]] = {
    "accelerated_scan": {"accelerated_scan": {}, "accelerated_scan.scalar": {"scan": scan}},
    "fla_hgrn": {"fla": {}, "fla.ops": {}, "fla.ops.hgrn": {"fused_recurrent_hgrn": fused_recurrent_hgrn}},
    "torchfx": {"torchfx": {}, "torchfx.filter": {}, "torchfx.filter.biquad": {"Biquad": Biquad}},
}


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("accelerated_scan", GATED),
        ("fla_hgrn", replace(GATED, layout="BTC")),
        ("torchfx", BIQUADS),
        ("torchfx", replace(BIQUADS, shared=False, feedforward=False)),
    ],
)
def test_adapters_are_right(name: str, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, parts in STANDINS[name].items():
        standin = ModuleType(module)
        vars(standin).update(parts)
        monkeypatch.setitem(sys.modules, module, standin)
    contestant: Any = registered()[name]
    monkeypatch.setattr(contestant, "device", "cpu", raising=False)
    window = drawn_window(case, 1)
    compute(case, MODES, window, 1, tmp_path, 10.0)
    for mode in MODES:
        if contestant.declines(case, mode) is not None:
            continue
        run = contestant.prepare(case, cut_signals(case, mode, window), mode)
        run()
        # a second call begins where the first did
        assert judge(case, window, kept(tmp_path, mode), contestant.outputs(run())).fault == ""


@pytest.mark.parametrize(
    ("name", "case", "reason"),
    [
        ("accelerated_scan", replace(GATED, length=33), "powers of two, and this is 33"),
        ("accelerated_scan", BIQUADS, "order 1 without feedforward"),
        ("fla_hgrn", GATED, "layout BTC"),
        ("fla_hgrn", replace(GATED, layout="BTC", time_varying=False), "a gate for each sample"),
        ("torch_scan", replace(GATED, layout="BTC"), "filters along the last axis"),
        ("torchfx", GATED, "order 2"),
        ("fluxion", replace(BIQUADS, dtype="float64"), "float32"),
        ("fluxion", replace(BIQUADS, stateful=True), "whole signals"),
    ],
)
def test_they_say_what_they_cannot_do(name: str, case: Case, reason: str) -> None:
    assert reason in str(registered()[name].declines(case, "forward"))


def test_what_has_no_gradient_says_so() -> None:
    assert "without gradients" in str(registered()["torchfx"].declines(BIQUADS, "forward+backward"))
    resonators = replace(case_named("complex"), length=60)
    assert "no gradient of complex" in str(registered()["torch_scan"].declines(resonators, "forward+backward"))
    assert registered()["torch_scan"].declines(resonators, "forward") is None
