"""Mountain car: a car too weak for the hill has to swing itself up.

The dynamics are those of Gymnasium's MountainCar-v0 (Moore 1990). State: position from U(-0.6, -0.4), velocity 0; the
position stays within [-1.2, 0.6], the velocity within +-0.07. The largest of three outputs chooses: push left, none,
right. The reward is -1 a step. It ends at position 0.5 with at least `goal_velocity`, and after `steps`. Solved when a
champion's mean over 100 fresh episodes is at least -110, Gymnasium's threshold. Inputs: position, velocity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from islands.config import TaskConfig, number
from islands.tasks.rules import Examination, Rules, Shape, clip, cos, largest_of_three, total_reward, where

FORCE, GRAVITY = 0.001, 0.0025
GOAL = 0.5
LEFT, RIGHT, FASTEST = -1.2, 0.6, 0.07


@dataclass(frozen=True)
class MountainCar(TaskConfig):
    """`goal_velocity`: at which the goal must be reached; `steps` of an episode."""

    name: str = "mountain_car"
    steps: int = number(200, 1, 1_000_000)
    goal_velocity: float = number(0.0, 0.0, 0.07)


class Numbers(NamedTuple):
    """What the rules need."""

    goal_velocity: float


def reset(state: Any, draws: Any, task: Any) -> None:
    """At rest in the valley."""
    state[0] = 0.2 * draws[0] - 0.6
    state[1] = 0.0


def observe(state: Any, task: Any, out: Any) -> None:
    """Position and velocity."""
    out[0] = state[0]
    out[1] = state[1]


def step(state: Any, action: Any, task: Any) -> tuple[Any, Any]:
    """Action 0, 1, 2: the push plus one."""
    velocity = state[1] + (action - 1.0) * FORCE + cos(3.0 * state[0]) * (-GRAVITY)
    velocity = clip(velocity, -FASTEST, FASTEST)
    position = clip(state[0] + velocity, LEFT, RIGHT)
    velocity = where((position <= LEFT) & (velocity < 0.0), 0.0, velocity)
    state[0] = position
    state[1] = velocity
    there = (position >= GOAL) & (velocity >= task.goal_velocity)
    return -1.0, where(there, 1, 0)


RULES = Rules(
    parameters=MountainCar,
    reasons=("finished", "reached the goal"),
    shape=lambda parameters: Shape(2, 3, 2, parameters.steps, draws=1, behaviour=2),
    numbers=lambda parameters: Numbers(parameters.goal_velocity),
    reset=reset,
    observe=observe,
    act=largest_of_three,
    step=step,
    score=total_reward,
    examination=lambda parameters: Examination(goal=-110.0, episodes=100),
)
