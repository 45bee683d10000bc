"""Acrobot: swing the free end of a double pendulum, driven at its middle joint, above a line.

The dynamics are those of Gymnasium's Acrobot-v1 (Sutton 1996, with the equations of Sutton & Barto's book): one
fourth-order Runge-Kutta step of 0.2 s. State: angle of the first link (rad, 0 hangs), of the second relative to it, and
their speeds (rad/s), each from U(-0.1, 0.1); angles wrap, speeds are limited to 4 pi and 9 pi. Inputs: cosine and sine
of both angles, both speeds. The largest of three outputs chooses the torque: -`torque`, 0, +`torque` N m. The reward is
-1 a step, 0 for the last. It ends when the free end is a link's length above the axle, and after `steps`. Solved when a
champion's mean over 100 fresh episodes is at least -100, Gymnasium's threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from islands.config import TaskConfig, number
from islands.tasks.rules import Examination, Rules, Shape, clip, cos, floor, largest_of_three, sin, total_reward, where

PI = 3.141592653589793
GRAVITY, TAU = 9.8, 0.2
"""m/s^2, s. Each link: 1 kg, 1 m, centre of mass at 0.5 m, moment of inertia 1 kg m^2."""
FASTEST_1, FASTEST_2 = 4.0 * PI, 9.0 * PI


@dataclass(frozen=True)
class Acrobot(TaskConfig):
    """`torque` in N m, `steps` of an episode."""

    name: str = "acrobot"
    steps: int = number(500, 1, 1_000_000)
    torque: float = number(1.0, 0.01, 100.0)


class Numbers(NamedTuple):
    """What the rules need."""

    torque: float


def reset(state: Any, draws: Any, task: Any) -> None:
    """Hanging, nearly at rest."""
    for i in range(4):
        state[i] = 0.2 * draws[i] - 0.1


def observe(state: Any, task: Any, out: Any) -> None:
    """Both angles as a direction, and both speeds."""
    out[0] = cos(state[0])
    out[1] = sin(state[0])
    out[2] = cos(state[1])
    out[3] = sin(state[1])
    out[4] = state[2]
    out[5] = state[3]


def rates(one: Any, two: Any, spin_1: Any, spin_2: Any, torque: Any) -> tuple[Any, Any]:
    """The accelerations (rad/s^2) of both angles."""
    d1 = 0.25 + (1.0 + 0.25 + cos(two)) + 2.0
    d2 = (0.25 + 0.5 * cos(two)) + 1.0
    phi2 = 0.5 * GRAVITY * cos(one + two - PI / 2.0)
    phi1 = (
        -0.5 * spin_2 * spin_2 * sin(two)
        - 2.0 * 0.5 * spin_2 * spin_1 * sin(two)
        + 1.5 * GRAVITY * cos(one - PI / 2.0)
        + phi2
    )
    turn_2 = (torque + d2 / d1 * phi1 - 0.5 * spin_1 * spin_1 * sin(two) - phi2) / (0.25 + 1.0 - d2 * d2 / d1)
    return -(d2 * turn_2 + phi1) / d1, turn_2


def step(state: Any, action: Any, task: Any) -> tuple[Any, Any]:
    """Action 0, 1, 2: the torque's sign plus one."""
    torque = (action - 1.0) * task.torque
    a, b, c, d = state[0], state[1], state[2], state[3]
    c1, d1 = rates(a, b, c, d, torque)
    half = TAU / 2.0
    a2, b2 = c + half * c1, d + half * d1
    c2, d2 = rates(a + half * c, b + half * d, a2, b2, torque)
    a3, b3 = c + half * c2, d + half * d2
    c3, d3 = rates(a + half * a2, b + half * b2, a3, b3, torque)
    a4, b4 = c + TAU * c3, d + TAU * d3
    c4, d4 = rates(a + TAU * a3, b + TAU * b3, a4, b4, torque)
    a = a + TAU / 6.0 * (c + 2.0 * a2 + 2.0 * a3 + a4)
    b = b + TAU / 6.0 * (d + 2.0 * b2 + 2.0 * b3 + b4)
    state[0] = a - 2.0 * PI * floor((a + PI) / (2.0 * PI))
    state[1] = b - 2.0 * PI * floor((b + PI) / (2.0 * PI))
    state[2] = clip(c + TAU / 6.0 * (c1 + 2.0 * c2 + 2.0 * c3 + c4), -FASTEST_1, FASTEST_1)
    state[3] = clip(d + TAU / 6.0 * (d1 + 2.0 * d2 + 2.0 * d3 + d4), -FASTEST_2, FASTEST_2)
    up = -cos(state[0]) - cos(state[1] + state[0]) > 1.0
    return where(up, 0.0, -1.0), where(up, 1, 0)


RULES = Rules(
    parameters=Acrobot,
    reasons=("finished", "reached the line"),
    shape=lambda parameters: Shape(6, 3, 4, parameters.steps, draws=4, behaviour=4),
    numbers=lambda parameters: Numbers(parameters.torque),
    reset=reset,
    observe=observe,
    act=largest_of_three,
    step=step,
    score=total_reward,
    examination=lambda parameters: Examination(goal=-100.0, episodes=100),
)
