"""Pellets on a GPU: a thread plays one creature's episode from its start to its end."""

from __future__ import annotations

from typing import Any

import numpy as np

from islands.gpu import lane as lane_of
from islands.networks_lanes import load, think
from islands.tasks import pellets_physics as physics
from islands.tasks.pellets_episodes import end_reason, score
from islands.tasks.pellets_kernel import FINISHED, TICK, act, drop_pellet, load_body, sense
from islands.tasks.pellets_physics import F, all_fine, get, move_nodes, pull_muscles

LANES, own = lane_of.LANES, lane_of.own
FIXED = None
"""See `population.has`; a constant of the kernel."""


def play_episodes(
    genomes: Any, items: Any, keys: Any, layout: Any, task: Any, s: Any, brain: Any, room: Any, slots: Any,
    counts: Any, fresh: Any, out: Any,
) -> None:  # fmt: skip
    """The episodes of a thread; as `pellets_episodes.run_episodes`, which does the same in sixteen lanes.

    counts, fresh: float32 [LANES], room for what `act` is told.
    """
    lane = own()
    for i in range(lane, len(items), LANES):
        play_one(genomes, items[i], keys[i], i, lane, layout, task, s, brain, room, slots, counts, fresh, out)


def play_one(
    genomes: Any, p: Any, key: Any, i: Any, lane: Any, layout: Any, task: Any, s: Any, brain: Any, room: Any,
    slots: Any, counts: Any, fresh: Any, out: Any,
) -> None:  # fmt: skip
    """Episode `i`, genome `p` against the pellets of stream `key`."""
    load_body(s, genomes, p, lane, task, room)
    for n in range(room[0]):
        s.gx[n * LANES + lane] = s.gy[n * LANES + lane] = s.gz[n * LANES + lane] = F(0.0)
    load(brain, genomes, p, lane, layout, room, slots, FIXED)
    nodes = genomes.body_start[p + 1] - genomes.body_start[p]
    muscles = genomes.muscle_start[p + 1] - genomes.muscle_start[p]
    used = (nodes, muscles)
    counts[lane], fresh[lane] = F(1.0) / F(max(1, muscles)), F(1.0)
    number, step, ticks, reason = np.int64(0), 0, 0, FINISHED
    angle = drop_pellet(s, lane, key, number, F(0.0))
    start_x, start_z = get(s, physics.CENTRE_X, lane), get(s, physics.CENTRE_Z, lane)
    while step < task.steps and reason == FINISHED:
        sense(s, brain, layout, task, used, room)
        think(brain, layout, slots, used, room, FIXED)
        act(s, brain, muscles, counts, task, fresh)
        fresh[lane] = F(0.0)
        ticks += 1
        for _ in range(TICK):
            pull_muscles(s, nodes, room[0], muscles, layout.mode == 2)
            fine = all_fine(move_nodes(s, nodes, room[0], muscles))
            step += 1
            if get(s, physics.GAP, lane) <= F(0.0):
                number += np.int64(1)
                angle = drop_pellet(s, lane, key, number, angle)
            if not fine:
                reason = end_reason(s, lane, nodes)
            if not fine or step == task.steps:
                break
    fit = reason == FINISHED
    out.reason[i], out.steps[i] = reason, step
    out.fitness[i] = score(s, lane, number, ticks, task.penalty) if fit else F(0.0)
    out.behaviour[i, 0] = get(s, physics.CENTRE_X, lane) - start_x if fit else F(0.0)
    out.behaviour[i, 1] = get(s, physics.CENTRE_Z, lane) - start_z if fit else F(0.0)
    out.behaviour[i, 2] = get(s, physics.PATH, lane) if fit else F(0.0)
    out.behaviour[i, 3] = get(s, physics.EFFORT, lane) / F(max(1, ticks))
