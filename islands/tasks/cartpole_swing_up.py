"""Cart-pole swing-up: the pole hangs, and has to be swung up and kept there.

The cart and pole of `cartpole` (the dynamics of Gymnasium's CartPole-v1, without its limit of the angle), under a force
from -`force` to +`force` N. It starts at rest near the middle with the pole within 0.05 rad of straight down. Inputs:
x / 2.4, dx/dt / 2, sine and cosine of the angle, its speed / 5. The reward of a step is (1 + cos angle) / 2. It ends
when |x| > 2.4 m, and after `steps`. Solved when a champion's mean over 100 fresh episodes is at least 0.8 `steps`:
the pole is up within a fifth of the time, and stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from islands.tasks.cartpole import FARTHEST, CartPole, Numbers, move
from islands.tasks.rules import Examination, Rules, Shape, cos, first_of, sin, total_reward, where

DOWN = 3.141592653589793


@dataclass(frozen=True)
class CartPoleSwingUp(CartPole):
    """As of `cartpole`; `force` is that of the strongest push."""

    name: str = "cartpole_swing_up"


def reset(state: Any, draws: Any, task: Any) -> None:
    """Hanging, nearly at rest, near the middle."""
    for i in range(4):
        state[i] = 0.1 * draws[i] - 0.05
    state[2] = state[2] + DOWN


def observe(state: Any, task: Any, out: Any) -> None:
    """Scaled to about -1 to 1."""
    out[0] = state[0] / FARTHEST
    out[1] = state[1] / 2.0
    out[2] = sin(state[2])
    out[3] = cos(state[2])
    out[4] = state[3] / 5.0


def step(state: Any, action: Any, task: Any) -> tuple[Any, Any]:
    """The action is the share of the strongest push."""
    move(state, action * task.force, task)
    left = (state[0] < -FARTHEST) | (state[0] > FARTHEST)
    return (1.0 + cos(state[2])) * 0.5, where(left, 1, 0)


RULES = Rules(
    parameters=CartPoleSwingUp,
    reasons=("finished", "left the track"),
    shape=lambda parameters: Shape(5, 1, 4, parameters.steps, draws=4, behaviour=4),
    numbers=lambda parameters: Numbers(parameters.force, parameters.half_length),
    reset=reset,
    observe=observe,
    act=first_of,
    step=step,
    score=total_reward,
    examination=lambda parameters: Examination(goal=0.8 * parameters.steps, episodes=100),
)
