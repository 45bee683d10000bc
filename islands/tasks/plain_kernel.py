"""The compiled main loop of a task without bodies: fill sixteen lanes with episodes, observe, think, step, score.

Lanes are refilled as their episodes end. What happens in one does not depend on the others.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from islands.kernel import kernel
from islands.lanes import LANES
from islands.networks_lanes import load, think
from islands.rng import uniform
from islands.tasks.rules import End

F = np.float32


def _rule(*_: Any) -> Any:
    raise NotImplementedError


reset = observe = act = step = score = _rule
"""The task's own rules take these places when `play_lanes` is compiled for it; see `plain.compiled`."""


@kernel
def load_network(brain: Any, genomes: Any, p: Any, lane: Any, layout: Any, room: Any, slots: Any, fixed: Any) -> Any:
    """As `networks_lanes.load`, with the constant input."""
    load(brain, genomes, p, lane, layout, room, slots, fixed)
    if layout.constant:
        brain.value[layout.sensors * LANES + lane] = F(1.0)


@kernel
def forget(brain: Any, slots: Any, lane: Any) -> Any:
    """Clear a lane's neurons."""
    for at in range(slots * LANES + lane, len(brain.value), LANES):
        brain.value[at] = F(0.0)


def play_lanes(
    genomes: Any, items: Any, keys: Any, starts: Any, layout: Any, fixed: Any, task: Any, shape: Any, brain: Any,
    slots: Any, fitness: Any, reason: Any, steps: Any, behaviour: Any, solved: Any,
) -> Any:  # fmt: skip
    """Play every episode `i`: genome `items[i]`, from the start that the stream `keys[i]` draws.

    items int64 [E], keys uint64 [E]; starts float64 [E, S]: first numbers of the state to start with instead (S 0:
    none). Written per episode: fitness float32, reason uint8, steps int32, behaviour float32 [E, D], solved uint8.
    """
    room = (np.int64(0), np.int64(shape.outputs))
    state = np.zeros((LANES, shape.state))
    last = np.zeros((LANES, shape.window))
    draws, outputs = np.zeros(max(1, shape.draws)), np.zeros(shape.outputs)
    total, count = np.zeros(LANES), np.zeros(LANES, np.int64)
    item = np.full(LANES, -1, np.int64)
    heard, drive = brain.value.reshape(-1, LANES), brain.drive.reshape(-1, LANES)
    upcoming = busy = 0
    while upcoming < len(items) or busy > 0:
        for lane in range(LANES):
            if item[lane] < 0 and upcoming < len(items):
                load_network(brain, genomes, items[upcoming], lane, layout, room, slots, fixed)
                for i in range(shape.draws):
                    draws[i] = uniform(keys[upcoming], i)
                reset(state[lane], draws, task)
                for i in range(starts.shape[1]):
                    state[lane, i] = starts[upcoming, i]
                last[lane] = 0.0
                total[lane], count[lane], item[lane] = 0.0, 0, upcoming
                upcoming += 1
                busy += 1
            if item[lane] >= 0:
                if shape.forget:
                    forget(brain, slots, lane)
                observe(state[lane], task, heard[:, lane])
        think(brain, layout, slots, room, room, fixed)
        for lane in range(LANES):
            i = item[lane]
            if i < 0:
                continue
            for o in range(shape.outputs):
                outputs[o] = drive[o, lane]
            gain, ended = step(state[lane], act(outputs, task), task)
            last[lane, count[lane] % shape.window] = gain
            total[lane] += gain
            count[lane] += 1
            if ended == 0 and count[lane] < shape.steps:
                continue
            end = End(state[lane], total[lane], last[lane].sum(), count[lane], np.int64(ended))
            value, done = score(end, task)
            fitness[i], reason[i], steps[i], solved[i] = value, ended, count[lane], done
            for b in range(shape.behaviour):
                behaviour[i, b] = state[lane, b]
            item[lane] = -1
            brain.count[lane] = 0
            busy -= 1
