"""The rules of a task without bodies, and the mathematics that they are written in.

A task's file states its rules as plain Python functions on one episode. They are compiled for CPU and GPU, and run on
batches of episodes in PyTorch, as they stand (see `islands.tasks.plain`): a number may be a tensor of many episodes.
So a rule branches on the task's own numbers alone, and decides what depends on the state with `where`:

    reset(state, draws, task)      write the first state; `draws`: independent uniform numbers from [0, 1)
    observe(state, task, out)      write the network's inputs
    act(outputs, task)             the action that the network's outputs, each from -1 to 1, stand for
    step(state, action, task)      write the next state; returns the reward and 0, or the number of the reason to end
    score(end, task)               fitness of an episode that is over, higher is better, and whether the task is solved

`state`, `draws`, `out` and `outputs` are sequences of float64; `task` is what `Rules.numbers` makes of the parameters.
This file imports nothing heavy: a configuration is read with it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from islands.config import TaskConfig

sin, cos, exp = math.sin, math.cos, math.exp


def where(condition: Any, one: Any, other: Any) -> Any:
    """`one` where the condition holds, `other` elsewhere; both are computed."""
    return one if condition else other


def clip(value: Any, low: Any, high: Any) -> Any:
    """`value` within [low, high]."""
    return min(max(value, low), high)


def floor(value: Any) -> Any:
    """The largest whole number that is not above `value`, as a float."""
    return float(math.floor(value))


def single(value: Any) -> Any:
    """`value` rounded to float32."""
    return struct.unpack("f", struct.pack("f", value))[0]


class Shape(NamedTuple):
    """How much room an episode takes, and how long it may last."""

    sensors: int
    outputs: int
    state: int  # numbers of the state
    steps: int  # an episode runs its course after so many
    draws: int = 0  # random numbers of the start; 0: every episode is the same
    behaviour: int = 0  # the first numbers of the last state say what the genome did
    window: int = 1  # `End.recent` adds up the rewards of so many last steps
    forget: int = 0  # 1: a network does not remember the step before


class End(NamedTuple):
    """How an episode ended."""

    state: Any
    total: Any  # sum of the rewards
    recent: Any  # of those of the last `window` steps
    steps: Any  # taken
    reason: Any  # 0: it ran its course


class Examination(NamedTuple):
    """What a champion is put to before the task counts as solved; it does not count as evaluations.

    Either the mean fitness of `episodes` fresh episodes is at least `goal`; or the champion lasts for `endurance` steps
    from the usual start, and then for `steps` from at least `passes` of `starts` (first numbers of a state).
    """

    goal: float = 0.0
    episodes: int = 0
    endurance: int = 0
    steps: int = 0
    passes: int = 0
    starts: tuple[tuple[float, ...], ...] = ()


def no_examination(parameters: Any) -> Examination | None:
    """The evaluations themselves show whether the task is solved, or nothing does."""
    return None


@dataclass(frozen=True)
class Rules:
    """A task without bodies. `reasons`: what ends an episode, by number; the first is that it ran its course."""

    parameters: type[TaskConfig]
    reasons: tuple[str, ...]
    shape: Callable[[Any], Shape]
    numbers: Callable[[Any], Any]
    reset: Callable[..., None]
    observe: Callable[..., None]
    act: Callable[..., Any]
    step: Callable[..., tuple[Any, Any]]
    score: Callable[..., tuple[Any, Any]]
    examination: Callable[[Any], Examination | None] = no_examination
    shown: Callable[[Any], bool] = lambda parameters: False
    """Whether `score` says if the task is solved."""


def total_reward(end: Any, task: Any) -> tuple[Any, Any]:
    """A `score`: the sum of the rewards."""
    return end.total, False


def sign_of(outputs: Any, task: Any) -> Any:
    """An `act`: 1 where the first output is positive, 0 elsewhere."""
    return where(outputs[0] > 0.0, 1.0, 0.0)


def first_of(outputs: Any, task: Any) -> Any:
    """An `act`: the first output itself, from -1 to 1."""
    return outputs[0]


def largest_of_three(outputs: Any, task: Any) -> Any:
    """An `act`: the number of the largest of three outputs."""
    first = (outputs[0] >= outputs[1]) & (outputs[0] >= outputs[2])
    return where(first, 0.0, where(outputs[1] >= outputs[2], 1.0, 2.0))
