"""Double pole: balance two poles of different length on one cart, as in the original NEAT program.

Cart 1 kg; poles of 0.1 and 0.01 kg with half-lengths 0.5 and 0.05 m; friction of the poles 2e-6, none of the cart
(Wieland 1991; Stanley & Miikkulainen 2002). An action holds for 0.02 s: two fourth-order Runge-Kutta steps of 0.01 s
under a force of 10 N times the output, which is (output - 0.5) x 20 N for one from 0 to 1. State: x (m), dx/dt, angle
of the long pole (rad), its speed, the short pole's. It starts at rest with the long pole at 0.07 rad and fails when
|x| > 2.4 m or an angle exceeds 36 degrees: every episode is the same. The inputs are scaled, and the last of them is
0.5, always.

With velocities (Markov), fitness is the number of steps balanced; solved at 100,000.

Without, a network has to remember. An episode has 1000 steps and fitness is Gruau's (1996), which damps oscillation:
F = 0.1 t / 1000 + 0.9 (0 if t < 100, else 0.75 / sum over the last 100 steps of |x| + |dx/dt| + |angle| + |its
speed|). A champion solves it that balances for 100,000 steps, and then for 1000 from at least 200 of 625 other
starts: how many of these is its generalisation.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, NamedTuple

from islands.config import TaskConfig
from islands.tasks.rules import Examination, Rules, Shape, cos, first_of, sin, where

GRAVITY, CART, FRICTION, TAU = -9.8, 1.0, 2e-6, 0.01
"""m/s^2, kg, N m s, s."""
LONG, LONG_MASS, SHORT, SHORT_MASS = 0.5, 0.1, 0.05, 0.01
"""Half-lengths in m, masses in kg."""
FARTHEST, STEEPEST = 2.4, 36.0 * 3.141592653589793 / 180.0
"""Limits of x (m) and of the angles (rad)."""
ENDURANCE, TRIAL, LAST = 100_000, 1000, 100


@dataclass(frozen=True)
class DoublePole(TaskConfig):
    """`velocities`: whether the network is told them."""

    name: str = "double_pole"
    velocities: bool = True


class Numbers(NamedTuple):
    """What the rules need."""

    velocities: bool


def shape(parameters: Any) -> Shape:
    """Seven inputs and a long episode, or four and a short one."""
    if parameters.velocities:
        return Shape(7, 1, 6, ENDURANCE, behaviour=6)
    return Shape(4, 1, 6, TRIAL, behaviour=6, window=LAST)


def reset(state: Any, draws: Any, task: Any) -> None:
    """At rest, the long pole a little off."""
    for i in range(6):
        state[i] = 0.0
    state[2] = 0.07


def observe(state: Any, task: Any, out: Any) -> None:
    """What the original program shows: all scaled, and a bias of 0.5."""
    if task.velocities:
        out[0] = state[0] / 4.8
        out[1] = state[1] / 2.0
        out[2] = state[2] / 0.52
        out[3] = state[3] / 2.0
        out[4] = state[4] / 0.52
        out[5] = state[5] / 2.0
        out[6] = 0.5
    else:
        out[0] = state[0] / 4.8
        out[1] = state[2] / 0.52
        out[2] = state[4] / 0.52
        out[3] = 0.5


def accelerations(one: Any, spin_1: Any, two: Any, spin_2: Any, force: Any) -> tuple[Any, Any, Any]:
    """Of the cart (m/s^2), the long and the short pole (rad/s^2)."""
    cos_1, cos_2 = cos(one), cos(two)
    sin_1, sin_2 = sin(one), sin(two)
    fall_1, fall_2 = GRAVITY * sin_1, GRAVITY * sin_2
    drag_1, drag_2 = FRICTION * spin_1 / (LONG * LONG_MASS), FRICTION * spin_2 / (SHORT * SHORT_MASS)
    force_1 = LONG * LONG_MASS * spin_1 * spin_1 * sin_1 + 0.75 * LONG_MASS * cos_1 * (drag_1 + fall_1)
    force_2 = SHORT * SHORT_MASS * spin_2 * spin_2 * sin_2 + 0.75 * SHORT_MASS * cos_2 * (drag_2 + fall_2)
    mass_1, mass_2 = LONG_MASS * (1.0 - 0.75 * cos_1 * cos_1), SHORT_MASS * (1.0 - 0.75 * cos_2 * cos_2)
    cart = (force + force_1 + force_2) / (mass_1 + mass_2 + CART)
    turn_1 = -0.75 * (cart * cos_1 + fall_1 + drag_1) / LONG
    return cart, turn_1, -0.75 * (cart * cos_2 + fall_2 + drag_2) / SHORT


def integrate(state: Any, force: Any) -> None:
    """One Runge-Kutta step of 0.01 s."""
    x, v, p, r, q, s = state[0], state[1], state[2], state[3], state[4], state[5]
    half = TAU / 2.0
    v1, r1, s1 = accelerations(p, r, q, s, force)
    x2, p2, q2 = v + half * v1, r + half * r1, s + half * s1
    v2, r2, s2 = accelerations(p + half * r, p2, q + half * s, q2, force)
    x3, p3, q3 = v + half * v2, r + half * r2, s + half * s2
    v3, r3, s3 = accelerations(p + half * p2, p3, q + half * q2, q3, force)
    x4, p4, q4 = v + TAU * v3, r + TAU * r3, s + TAU * s3
    v4, r4, s4 = accelerations(p + TAU * p3, p4, q + TAU * q3, q4, force)
    state[0] = x + TAU / 6.0 * (v + 2.0 * (x2 + x3) + x4)
    state[1] = v + TAU / 6.0 * (v1 + 2.0 * (v2 + v3) + v4)
    state[2] = p + TAU / 6.0 * (r + 2.0 * (p2 + p3) + p4)
    state[3] = r + TAU / 6.0 * (r1 + 2.0 * (r2 + r3) + r4)
    state[4] = q + TAU / 6.0 * (s + 2.0 * (q2 + q3) + q4)
    state[5] = s + TAU / 6.0 * (s1 + 2.0 * (s2 + s3) + s4)


def step(state: Any, action: Any, task: Any) -> tuple[Any, Any]:
    """The action is the share of the strongest push; the reward is how much there is to damp."""
    integrate(state, 10.0 * action)
    integrate(state, 10.0 * action)
    on = abs(state[0]) <= FARTHEST
    up = (abs(state[2]) <= STEEPEST) & (abs(state[4]) <= STEEPEST)
    shake = abs(state[0]) + abs(state[1]) + abs(state[2]) + abs(state[3])
    return shake, where(on, where(up, 0, 2), 1)


def score(end: Any, task: Any) -> tuple[Any, Any]:
    """Steps balanced, or Gruau's fitness; only the first shows by itself whether the task is solved."""
    if task.velocities:
        return 1.0 * end.steps, end.reason == 0
    calm = where(end.steps < LAST, 0.0, 0.75 / end.recent)
    return 0.1 * end.steps / TRIAL + 0.9 * calm, end.steps < 0


def starts() -> tuple[tuple[float, ...], ...]:
    """The 625 starts: x, dx/dt, angle and speed of the long pole."""
    shares = (0.05, 0.25, 0.5, 0.75, 0.95)
    widths = ((4.32, 2.16), (2.70, 1.35), (0.12566304, 0.06283152), (0.30019504, 0.15009752))
    return tuple(itertools.product(*([share * width - off for share in shares] for width, off in widths)))


def examination(parameters: Any) -> Examination | None:
    """Without velocities: endurance, then other starts."""
    if parameters.velocities:
        return None
    return Examination(endurance=ENDURANCE, steps=TRIAL, passes=200, starts=starts())


RULES = Rules(
    parameters=DoublePole,
    reasons=("finished", "left the track", "fell"),
    shape=shape,
    numbers=lambda parameters: Numbers(parameters.velocities),
    reset=reset,
    observe=observe,
    act=first_of,
    step=step,
    score=score,
    examination=examination,
    shown=lambda parameters: bool(parameters.velocities),
)
