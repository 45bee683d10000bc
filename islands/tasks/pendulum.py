"""Pendulum: swing a pendulum up with too little torque, and keep it up cheaply.

The dynamics are those of Gymnasium's Pendulum-v1: a rod of 1 kg and 1 m, steps of 0.05 s, speed within +-8 rad/s.
State: angle from U(-pi, pi) (0 is up), speed from U(-1, 1). Inputs: cosine and sine of the angle, the speed. The
torque is 2 N m times the first output. The reward of a step is -(angle^2 + 0.1 speed^2 + 0.001 torque^2). It ends
after `steps`. Gymnasium states no threshold, so nothing counts as solved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from islands.config import TaskConfig, number
from islands.tasks.rules import Rules, Shape, clip, cos, first_of, floor, sin, single, total_reward

PI = 3.141592653589793
TAU, STRONGEST, FASTEST = 0.05, 2.0, 8.0
"""s, N m, rad/s."""


@dataclass(frozen=True)
class Pendulum(TaskConfig):
    """`gravity` in m/s^2, `steps` of an episode."""

    name: str = "pendulum"
    steps: int = number(200, 1, 1_000_000)
    gravity: float = number(10.0, 0.0, 1000.0)


class Numbers(NamedTuple):
    """What the rules need."""

    gravity: float


def reset(state: Any, draws: Any, task: Any) -> None:
    """Any angle, slow."""
    state[0] = (2.0 * draws[0] - 1.0) * PI
    state[1] = 2.0 * draws[1] - 1.0


def observe(state: Any, task: Any, out: Any) -> None:
    """The angle as a direction, and the speed."""
    out[0] = cos(state[0])
    out[1] = sin(state[0])
    out[2] = state[1]


def step(state: Any, action: Any, task: Any) -> tuple[Any, Any]:
    """The action is the share of the strongest torque."""
    angle, spin = state[0], state[1]
    torque = single(clip(action * STRONGEST, -STRONGEST, STRONGEST))
    away = angle + PI - 2.0 * PI * floor((angle + PI) / (2.0 * PI)) - PI
    cost = away * away + 0.1 * (spin * spin) + 0.001 * (torque * torque)
    spin = clip(spin + (3.0 * task.gravity / 2.0 * sin(angle) + single(3.0 * torque)) * TAU, -FASTEST, FASTEST)
    state[0] = angle + spin * TAU
    state[1] = spin
    return 0.0 - cost, 0


RULES = Rules(
    parameters=Pendulum,
    reasons=("finished",),
    shape=lambda parameters: Shape(3, 1, 2, parameters.steps, draws=2, behaviour=2),
    numbers=lambda parameters: Numbers(parameters.gravity),
    reset=reset,
    observe=observe,
    act=first_of,
    step=step,
    score=total_reward,
)
