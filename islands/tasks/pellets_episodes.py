"""The compiled main loop of pellets: fill lanes, tick, step, and score what ends."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from islands.kernel import hot_kernel, kernel
from islands.lanes import LANES
from islands.networks_lanes import load, think
from islands.tasks import pellets_physics as physics
from islands.tasks.pellets_kernel import (
    EXPLODED,
    FINISHED,
    NOT_FINITE,
    TICK,
    TOO_FAR,
    TOO_HIGH,
    act,
    drop_pellet,
    load_body,
    sense,
)
from islands.tasks.pellets_physics import F, all_fine, get, move_nodes, pull_muscles


@kernel
def score(s: Any, lane: Any, eaten: Any, ticks: Any, penalty: Any) -> Any:
    """The fitness of a lane's creature as it stands (float32); the formula is `pellets.fitness`'s."""
    first, distance = get(s, physics.FIRST, lane), get(s, physics.DISTANCE, lane)
    progress = min(F(1.0), max(F(0.0), (first - distance) / first))
    total = F(100.0) * F(eaten) + F(80.0) * progress + min(F(20.0), F(3.0) * get(s, physics.PATH, lane))
    if eaten > 0:
        regress = (distance - get(s, physics.BEST, lane)) / (F(0.5) * first)
        total -= F(20.0) * min(F(1.0), max(F(0.0), regress))
    total -= F(10.0) * F(penalty) * get(s, physics.EFFORT, lane) / F(max(1, ticks))
    return total if total > F(0.0) else F(0.0)


@kernel
def end_reason(s: Any, lane: Any, nodes: Any) -> Any:
    """Which limit a disqualified lane's body broke."""
    for n in range(nodes):
        at = n * LANES + lane
        if not (np.isfinite(s.x[at]) and np.isfinite(s.y[at]) and np.isfinite(s.z[at])):
            return NOT_FINITE
    if get(s, physics.FARTHEST, lane) > physics.FAR * physics.FAR:
        return TOO_FAR
    if get(s, physics.HIGHEST, lane) > physics.HIGH:
        return TOO_HIGH
    return EXPLODED


class Seats(NamedTuple):
    """What each of the lanes is about."""

    item: Any  # int64 [LANES]: its episode; -1: none
    left: Any  # int64 [LANES]: steps left
    number: Any  # int64 [LANES]: pellets eaten
    ticks: Any  # int64 [LANES]: control ticks so far
    angle: Any  # float32 [LANES]: of the last pellet, turns
    start: Any  # float32 [2, LANES]: where the centre of mass was at first, x z (m)
    counts: Any  # float32 [LANES]: 1 / its muscles
    fresh: Any  # float32 [LANES]: 1 in its first tick


def make_seats() -> Seats:
    """All lanes empty."""
    left, number, ticks = (np.zeros(LANES, np.int64) for _ in range(3))
    angle, counts, fresh = (np.zeros(LANES, np.float32) for _ in range(3))
    return Seats(np.full(LANES, -1), left, number, ticks, angle, np.zeros((2, LANES), np.float32), counts, fresh)


class Out(NamedTuple):
    """What is written for every episode."""

    fitness: Any  # float32 [E]
    reason: Any  # uint8 [E]
    steps: Any  # int32 [E]
    behaviour: Any  # float32 [E, 4]: displacement x z (m), path (m), mean |u|


def make_out(count: int) -> Out:
    """Room for what becomes of `count` episodes."""
    return Out(
        np.empty(count, np.float32), np.empty(count, np.uint8), np.empty(count, np.int32),
        np.empty((count, 4), np.float32),
    )  # fmt: skip


@hot_kernel
def run_episodes(
    genomes: Any, items: Any, keys: Any, layout: Any, fixed: Any, task: Any, s: Any, seats: Any, brain: Any, room: Any,
    slots: Any, out: Any,
) -> Any:  # fmt: skip
    """Play every episode `i`: genome `items[i]` against the pellets of stream `keys[i]`.

    items int64 [E], keys uint64 [E]; `out`: what is written per episode. `room`: the largest body's (nodes, muscles);
    `slots`: input slots; `fixed`: see `population.has`. Cost: one pass of the physics over ceil(E / 16) blocks.
    """
    item, left, number, ticks = seats.item, seats.left, seats.number, seats.ticks
    angle, counts, fresh = seats.angle, seats.counts, seats.fresh
    upcoming = 0
    used = (np.int64(0), np.int64(0))
    while True:
        changed = False
        busy = 0
        for lane in range(LANES):
            fresh[lane] = F(0.0)
            if item[lane] < 0 and upcoming < len(items):
                p = items[upcoming]
                load_body(s, genomes, p, lane, task, room)
                load(brain, genomes, p, lane, layout, room, slots, fixed)
                item[lane], left[lane], number[lane], ticks[lane] = upcoming, task.steps, 0, 0
                angle[lane] = drop_pellet(s, lane, keys[upcoming], np.int64(0), F(0.0))
                seats.start[0, lane] = get(s, physics.CENTRE_X, lane)
                seats.start[1, lane] = get(s, physics.CENTRE_Z, lane)
                counts[lane] = F(1.0) / F(max(1, genomes.muscle_start[p + 1] - genomes.muscle_start[p]))
                fresh[lane] = F(1.0)
                upcoming += 1
                changed = True
            busy += item[lane] >= 0
        if busy == 0:
            return
        if changed:
            nodes, muscles = np.int64(0), np.int64(0)
            for lane in range(LANES):
                if item[lane] >= 0:
                    p = items[item[lane]]
                    nodes = max(nodes, genomes.body_start[p + 1] - genomes.body_start[p])
                    muscles = max(muscles, genomes.muscle_start[p + 1] - genomes.muscle_start[p])
            used = (nodes, muscles)
        sense(s, brain, layout, task, used, room)
        think(brain, layout, slots, used, room, fixed)
        act(s, brain, used[1], counts, task, fresh)
        for lane in range(LANES):
            ticks[lane] += 1
        for _ in range(TICK):
            pull_muscles(s, used[0], room[0], used[1], layout.mode == 2)
            fine = move_nodes(s, used[0], room[0], used[1])
            for lane in range(LANES):
                left[lane] -= 1
            meal = False
            over = not all_fine(fine)
            for lane in range(LANES):
                meal |= get(s, physics.GAP, lane) <= F(0.0)
                over |= left[lane] <= 0
            if meal:
                for lane in range(LANES):
                    if item[lane] >= 0 and get(s, physics.GAP, lane) <= F(0.0):
                        number[lane] += 1
                        angle[lane] = drop_pellet(s, lane, keys[item[lane]], number[lane], angle[lane])
            if over:
                end_lanes(s, seats, used[0], task, out)


@kernel
def end_lanes(s: Any, seats: Any, nodes: Any, task: Any, out: Any) -> Any:
    """Score and free the lanes whose episode is over, by time or by a limit."""
    item, left, number, ticks = seats.item, seats.left, seats.number, seats.ticks
    for lane in range(LANES):
        i = item[lane]
        if i < 0:
            continue
        fit = get(s, physics.FINE, lane) > F(0.0)
        if fit and left[lane] > 0:
            continue
        out.reason[i] = FINISHED if fit else end_reason(s, lane, nodes)
        out.steps[i] = task.steps - left[lane]
        out.fitness[i] = score(s, lane, number[lane], ticks[lane], task.penalty) if fit else F(0.0)
        out.behaviour[i, 0] = get(s, physics.CENTRE_X, lane) - seats.start[0, lane] if fit else F(0.0)
        out.behaviour[i, 1] = get(s, physics.CENTRE_Z, lane) - seats.start[1, lane] if fit else F(0.0)
        out.behaviour[i, 2] = get(s, physics.PATH, lane) if fit else F(0.0)
        out.behaviour[i, 3] = get(s, physics.EFFORT, lane) / F(max(1, ticks[lane]))
        item[lane] = -1
        clear_lane(s, lane)


@kernel
def clear_lane(s: Any, lane: Any) -> Any:
    """Leave an empty lane at rest, so that it cannot raise an alarm: no mass, no forces, nothing to eat."""
    for at in range(lane, len(s.mass), LANES):
        s.mass[at] = s.inverse[at] = s.share[at] = F(0.0)
        s.x[at] = s.y[at] = s.z[at] = s.vx[at] = s.vy[at] = s.vz[at] = F(0.0)
    for at in range(lane, len(s.stiffness), LANES):
        s.stiffness[at] = s.damping[at] = F(0.0)
        s.rest[at] = s.target[at] = F(1.0)
    for at in range(lane, len(s.signs), LANES):
        s.signs[at] = F(0.0)
    for at in range(lane, len(s.lane), LANES):
        s.lane[at] = F(0.0)
    s.lane[physics.GAP * LANES + lane] = F(1.0)
