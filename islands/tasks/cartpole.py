"""Cart-pole: balance a pole on a cart that can be pushed to the left or to the right.

The dynamics are those of Gymnasium's CartPole-v1 (Barto, Sutton & Anderson 1983; Florian 2007), explicit Euler steps
of 0.02 s. State: x (m), dx/dt (m/s), angle (rad, 0 is upright), its speed (rad/s), each from U(-0.05, 0.05). The
reward is 1 a step. It ends when |x| > 2.4 m or |angle| > 12 degrees, and after `steps`. Solved when a champion's mean
over 100 fresh episodes is at least 0.95 `steps`: Gymnasium's 475 of 500.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from islands.config import TaskConfig, number
from islands.tasks.rules import Examination, Rules, Shape, cos, sign_of, sin, total_reward, where

GRAVITY, CART, POLE, TAU = 9.8, 1.0, 0.1, 0.02
"""m/s^2, kg, kg, s."""
FARTHEST, STEEPEST = 2.4, 12.0 * 2.0 * 3.141592653589793 / 360.0
"""Limits of x (m) and of the angle (rad)."""


@dataclass(frozen=True)
class CartPole(TaskConfig):
    """`force` of a push in N, `half_length` of the pole in m, `steps` of an episode."""

    name: str = "cartpole"
    steps: int = number(500, 1, 1_000_000)
    force: float = number(10.0, 0.1, 1000.0)
    half_length: float = number(0.5, 0.01, 100.0)


class Numbers(NamedTuple):
    """What the rules need."""

    force: float
    half_length: float


def reset(state: Any, draws: Any, task: Any) -> None:
    """Nearly upright, nearly at rest, near the middle."""
    for i in range(4):
        state[i] = 0.1 * draws[i] - 0.05


def observe(state: Any, task: Any, out: Any) -> None:
    """The state as it is."""
    for i in range(4):
        out[i] = state[i]


def move(state: Any, force: Any, task: Any) -> None:
    """One Euler step under `force` (N)."""
    x, speed, angle, spin = state[0], state[1], state[2], state[3]
    total, moment = CART + POLE, POLE * task.half_length
    cosine, sine = cos(angle), sin(angle)
    push = (force + moment * (spin * spin) * sine) / total
    turn = (GRAVITY * sine - cosine * push) / (task.half_length * (4.0 / 3.0 - POLE * (cosine * cosine) / total))
    state[0] = x + TAU * speed
    state[1] = speed + TAU * (push - moment * turn * cosine / total)
    state[2] = angle + TAU * spin
    state[3] = spin + TAU * turn


def step(state: Any, action: Any, task: Any) -> tuple[Any, Any]:
    """Action 1 pushes to the right, 0 to the left."""
    move(state, where(action > 0.5, task.force, -task.force), task)
    left = (state[0] < -FARTHEST) | (state[0] > FARTHEST)
    fell = (state[2] < -STEEPEST) | (state[2] > STEEPEST)
    return 1.0, where(left, 1, where(fell, 2, 0))


RULES = Rules(
    parameters=CartPole,
    reasons=("finished", "left the track", "fell"),
    shape=lambda parameters: Shape(4, 1, 4, parameters.steps, draws=4, behaviour=4),
    numbers=lambda parameters: Numbers(parameters.force, parameters.half_length),
    reset=reset,
    observe=observe,
    act=sign_of,
    step=step,
    score=total_reward,
    examination=lambda parameters: Examination(goal=0.95 * parameters.steps, episodes=100),
)
