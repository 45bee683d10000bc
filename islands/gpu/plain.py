"""Tasks without bodies on a GPU: a thread plays a genome's episode from its start to its end, by the task's `Rules`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from islands.gpu import lane as lane_of
from islands.networks_lanes import think
from islands.rng import uniform
from islands.tasks.plain_kernel import forget, load_network
from islands.tasks.rules import End, Shape

F = np.float32
LANES, own, cuda = lane_of.LANES, lane_of.own, lane_of.cuda
STATE = WINDOW = DRAWS = OUTPUTS = SENSORS = 1
"""How much a thread keeps for itself: constants of a task's own kernel, see `sizes`."""
FIXED = None
"""See `population.has`; a constant of a task's own kernel, too."""
reset = observe = act = step = score = None
"""The task's own rules take these places."""


class Out(NamedTuple):
    """What is written for every episode."""

    fitness: Any  # float32 [E]
    reason: Any  # uint8 [E]
    steps: Any  # int32 [E]
    behaviour: Any  # float32 [E, D]
    solved: Any  # uint8 [E]


def sizes(shape: Shape) -> dict[str, int]:
    """The constants of the kernel for a task of this shape."""
    wanted = {
        "STATE": shape.state, "WINDOW": shape.window, "DRAWS": shape.draws, "OUTPUTS": shape.outputs,
        "SENSORS": shape.sensors,
    }  # fmt: skip
    return {name: max(1, size) for name, size in wanted.items()}


def play_episodes(
    genomes: Any, items: Any, keys: Any, layout: Any, task: Any, shape: Any, brain: Any, slots: Any, out: Any
) -> None:
    """The episodes of a thread; as `plain_kernel.play_lanes`, which does the same in sixteen lanes."""
    lane = own()
    ended: Any
    room = (np.int64(0), np.int64(shape.outputs))
    state = cuda.local.array(STATE, np.float64)  # type: ignore[attr-defined]
    last = cuda.local.array(WINDOW, np.float64)  # type: ignore[attr-defined]
    draws = cuda.local.array(DRAWS, np.float64)  # type: ignore[attr-defined]
    heard = cuda.local.array(SENSORS, np.float64)  # type: ignore[attr-defined]
    outputs = cuda.local.array(OUTPUTS, np.float64)  # type: ignore[attr-defined]
    for i in range(lane, len(items), LANES):
        load_network(brain, genomes, items[i], lane, layout, room, slots, FIXED)
        for d in range(shape.draws):
            draws[d] = uniform(keys[i], d)
        for n in range(shape.state):
            state[n] = 0.0
        for n in range(shape.window):
            last[n] = 0.0
        reset(state, draws, task)  # type: ignore[misc]
        total, count, ended = 0.0, 0, 0
        while count < shape.steps and ended == 0:
            if shape.forget:
                forget(brain, slots, lane)
            observe(state, task, heard)  # type: ignore[misc]
            for n in range(shape.sensors):
                brain.value[n * LANES + lane] = F(heard[n])
            think(brain, layout, slots, room, room, FIXED)
            for o in range(shape.outputs):
                outputs[o] = brain.drive[o * LANES + lane]
            gain, why = step(state, act(outputs, task), task)  # type: ignore[misc]
            ended = np.int64(why)
            last[count % shape.window] = gain
            total += gain
            count += 1
        recent = 0.0
        for n in range(shape.window):
            recent += last[n]
        value, done = score(End(state, total, recent, count, ended), task)  # type: ignore[misc]
        out.fitness[i], out.reason[i], out.steps[i], out.solved[i] = value, ended, count, done
        for b in range(shape.behaviour):
            out.behaviour[i, b] = state[b]
