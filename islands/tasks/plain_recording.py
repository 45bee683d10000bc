"""One episode of a task without bodies, step by step, for those who want to look on.

The compiled kernel hands out the state that an episode ends with. So the episode is played again and again, each time
ending a little later: what is recorded is the evaluation's own states, and nothing has to be compiled anew.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from islands.genome.population import Array, Genomes, take
from islands.rng import uniform
from islands.tasks.plain import PlainTask


class Film(NamedTuple):
    """What there was to see."""

    states: Array  # float64 [F, S]: the state after each of `steps`
    steps: Array  # int64 [F], from 0 on
    fitness: float  # of the whole episode, even where the film ends before it
    reason: int
    length: int  # steps of the whole episode


def first_state(task: PlainTask, key: np.uint64) -> list[float]:
    """Where the episode of stream `key` starts."""
    state = [0.0] * task.shape.state
    task.rules.reset(state, [float(uniform(np.uint64(key), i)) for i in range(task.shape.draws)], task.numbers)
    return state


def film(task: PlainTask, genomes: Genomes, row: int, key: np.uint64, every: int, most: int) -> Film:
    """Genome `row` from the start of stream `key`, every so many steps, at most `most` frames after the first."""
    one, item, keys = take(genomes, [row]), np.zeros(1, np.int64), np.array([key], np.uint64)
    whole = task.play_compiled(one, item, keys, task.shape)
    length = int(whole.steps[0])
    steps = list(range(every, length, every))[: most - 1]
    steps.append(min(length, every * most))
    states = [first_state(task, key)]
    for step in steps:
        states.append(task.play_compiled(one, item, keys, task.shape._replace(steps=step)).behaviour[0].tolist())
    return Film(np.array(states), np.array([0, *steps]), float(whole.fitness[0]), int(whole.reason[0]), length)
