"""One step of each kind of recurrence with an activation inside, and its adjoint.

A state is a list of numbers, the newest first. What a step saves for its adjoint is a list of numbers, too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from .._code.functions import Functions, activate, through
from .._code.numbers import Num

Row = list[Num]


class Step(NamedTuple):
    """What a step gives: y, the state after it, and what its adjoint asks for."""

    y: Num
    state: Row
    saved: Row


class Adjoint(NamedTuple):
    """The gradients of a step's signals, of its parameters, and of the state before it."""

    signals: Row
    parameters: Row
    state: Row


class Cell(ABC):
    """One step of every lane of a vector."""

    def __init__(self, functions: Functions, activation: str, scale: Num) -> None:
        self.of, self.activation, self.scale = functions, activation, scale

    @abstractmethod
    def step(self, signals: Row, parameters: Row, state: Row) -> Step:
        """Compute a step."""

    @abstractmethod
    def adjoint(self, signals: Row, parameters: Row, state: Row, saved: Row, grad_y: Num, lam: Row) -> Adjoint:
        """Return gradients, where `lam` is that of the state after the step; `state` is the one before it."""


class Independent(Cell):
    """h = activation(x + Σ feedback[k]·state[k])."""

    def step(self, signals: Row, parameters: Row, state: Row) -> Step:
        total = signals[0]
        for coefficient, number in reversed(list(zip(parameters, state, strict=True))):
            # the newest output comes last: only it is waited for
            total = total.plus(coefficient, number)
        h = activate(self.of, self.activation, total)
        return Step(h, [h, *state[:-1]], [h])

    def adjoint(self, signals: Row, parameters: Row, state: Row, saved: Row, grad_y: Num, lam: Row) -> Adjoint:
        grad = through(self.of, self.activation, saved[0], grad_y + lam[0])
        later = [*lam[1:], self.of.zero]
        before = [own.plus(coefficient, grad) for own, coefficient in zip(later, parameters, strict=True)]
        return Adjoint([grad], [grad * number for number in state], before)


class Sru(Cell):
    """Gates f and r that read c, the state."""

    def step(self, signals: Row, parameters: Row, state: Row) -> Step:
        of, (ux, uf, ur, *highway), (vf, vr, bf, br), (c,) = self.of, signals, parameters, state
        f = of.sigmoid((uf + bf).plus(vf, c))
        r = of.sigmoid((ur + br).plus(vr, c))
        after = ux.plus(f, of.minus(c, ux))
        h = activate(of, self.activation, after)
        if not highway:
            return Step(r * h, [after], [f, r, h])
        w = highway[0] * self.scale
        return Step(w.plus(r, of.minus(h, w)), [after], [f, r, h])

    def adjoint(self, signals: Row, parameters: Row, state: Row, saved: Row, grad_y: Num, lam: Row) -> Adjoint:
        of, (ux, _, _, *highway), (vf, vr, _, _), (c,), (f, r, h) = self.of, signals, parameters, state, saved
        to_h = grad_y * r
        own = of.minus(h, highway[0] * self.scale) if highway else h
        to_ur = grad_y * own * (r * of.minus(of.one, r))
        to_after = lam[0] + through(of, self.activation, h, to_h)
        to_uf = to_after * of.minus(c, ux) * (f * of.minus(of.one, f))
        kept = to_after * f
        before = kept.plus(to_ur, vr).plus(to_uf, vf)
        to_highway = [of.minus(grad_y, to_h) * self.scale] if highway else []
        to_signals = [of.minus(to_after, kept), to_uf, to_ur, *to_highway]
        return Adjoint(to_signals, [to_uf * c, to_ur * c, to_uf, to_ur], [before])


class Envelope(Cell):
    """y moves towards x by attack or release, which are signals or parameters."""

    def step(self, signals: Row, parameters: Row, state: Row) -> Step:
        of, (x, *varying), (y,) = self.of, signals, state
        attack, release = varying or parameters
        gain = of.select(of.is_(">", x, y), attack, release)
        after = y.plus(gain, of.minus(x, y))
        return Step(after, [after], [])

    def adjoint(self, signals: Row, parameters: Row, state: Row, saved: Row, grad_y: Num, lam: Row) -> Adjoint:
        of, (x, *varying), (y,) = self.of, signals, state
        attack, release = varying or parameters
        rises = of.is_(">", x, y)
        total = grad_y + lam[0]
        to_x = total * of.select(rises, attack, release)
        to_gain = total * of.minus(x, y)
        both = [of.select(rises, to_gain, of.zero), of.select(rises, of.zero, to_gain)]
        before = [of.minus(total, to_x)]
        return Adjoint([to_x, *both], [], before) if varying else Adjoint([to_x], both, before)


CELLS: dict[str, type[Cell]] = {"independent": Independent, "sru": Sru, "envelope": Envelope}
