"""Mountain car with a continuous push: as `mountain_car`, and force costs.

The dynamics are those of Gymnasium's MountainCarContinuous-v0, which computes in float32, rounding step by
step. The push is the first output, from -1 to 1. The reward is -0.1 push^2 a step, and 100 for the goal, which
is position 0.45 with at least `goal_velocity`. Solved when a champion's mean over 100 fresh episodes is at least 90,
Gymnasium's threshold. Inputs: position, velocity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from islands.config import TaskConfig, number
from islands.tasks.mountain_car import FASTEST, GRAVITY, LEFT, RIGHT, Numbers, observe, reset
from islands.tasks.rules import Examination, Rules, Shape, clip, cos, first_of, single, total_reward, where

POWER = 0.0015
GOAL = 0.45


@dataclass(frozen=True)
class MountainCarContinuous(TaskConfig):
    """`goal_velocity`: at which the goal must be reached; `steps` of an episode."""

    name: str = "mountain_car_continuous"
    steps: int = number(999, 1, 1_000_000)
    goal_velocity: float = number(0.0, 0.0, 0.07)


def step(state: Any, action: Any, task: Any) -> tuple[Any, Any]:
    """The action is the push, from -1 to 1."""
    gain = single(single(clip(action, -1.0, 1.0) * POWER) - single(GRAVITY * cos(single(3.0 * state[0]))))
    velocity = clip(single(state[1] + gain), -FASTEST, FASTEST)
    position = clip(single(state[0] + velocity), LEFT, RIGHT)
    velocity = where((position <= LEFT) & (velocity < 0.0), 0.0, velocity)
    state[0] = single(position)
    state[1] = single(velocity)
    there = (position >= GOAL) & (velocity >= task.goal_velocity)
    return where(there, 100.0, 0.0) - action * action * 0.1, where(there, 1, 0)


RULES = Rules(
    parameters=MountainCarContinuous,
    reasons=("finished", "reached the goal"),
    shape=lambda parameters: Shape(2, 1, 2, parameters.steps, draws=1, behaviour=2),
    numbers=lambda parameters: Numbers(parameters.goal_velocity),
    reset=reset,
    observe=observe,
    act=first_of,
    step=step,
    score=total_reward,
    examination=lambda parameters: Examination(goal=90.0, episodes=100),
)
