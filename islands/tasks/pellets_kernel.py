"""Pellets on one core: whole episodes in a compiled kernel, sixteen creatures side by side.

Lanes are refilled as their episodes end, so nothing is computed for a creature
after its end but the rest of its last control tick, and nothing is padded
beyond the largest body of the sixteen. Items are sorted by size first.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from islands.curves import sine_of_turns
from islands.genome import population as columns
from islands.kernel import kernel
from islands.lanes import LANES, fill, fma, select, vabs, vload, vmax, vmin, vsqrt, vstore
from islands.networks import find
from islands.rng import uniform
from islands.tasks import pellets_physics as physics
from islands.tasks.pellets_physics import DT, GRAVITY, F, get, join, put

FINISHED, NOT_FINITE, TOO_FAR, TOO_HIGH, EXPLODED = range(5)
"""Why an episode ended."""
REACH = F(0.35)
"""A pellet is eaten when a node's surface comes this close to it, m."""
TICK = 3
"""Physics steps a control tick: 10 Hz."""
TWO_PI = F(2.0 * np.pi)


class Parameters(NamedTuple):
    """The task's numbers for the kernel; see `PelletsConfig`."""

    steps: int
    encoding: int  # 0 none, 1 sin, 2 raw, 3 cyclic, 4 sin_raw
    dead_zone: float
    smoothing: float
    max_velocity: float
    friction: float  # ground friction / 0.6, so that a gene of 0.6 gives the ground's own
    penalty: float


@kernel
def load_body(s: Any, genomes: Any, p: Any, lane: Any, task: Any, room: Any) -> Any:
    """Put the body of genome `p` at rest into a lane; `room` = (body nodes, muscles) that the state has rows for."""
    b0, b1 = genomes.body_start[p], genomes.body_start[p + 1]
    m0, m1 = genomes.muscle_start[p], genomes.muscle_start[p + 1]
    total = F(0.0)
    for n in range(room[0]):
        at = n * LANES + lane
        s.vx[at] = s.vy[at] = s.vz[at] = s.touching[at] = F(0.0)
        if n < b1 - b0:
            gene = genomes.body_gene[b0 + n]
            radius = gene[columns.SIZE] * F(0.5)
            s.radius[at] = radius
            s.mass[at] = max(F(0.5), F(10.0 * 4.0 / 3.0 * np.pi) * radius * radius * radius)
            s.inverse[at] = F(1.0) / s.mass[at]
            s.grip[at] = F(task.friction) * gene[columns.FRICTION] * GRAVITY * DT
            s.x[at], s.y[at], s.z[at] = gene[columns.POSITION_X], gene[columns.POSITION_Y], gene[columns.POSITION_Z]
            total += s.mass[at]
        else:
            s.x[at] = s.y[at] = s.z[at] = s.radius[at] = s.mass[at] = s.inverse[at] = s.grip[at] = F(0.0)
    given = F(0.0)
    cx = cy = cz = F(0.0)
    for n in range(room[0]):
        at = n * LANES + lane
        s.share[at] = s.mass[at] / total
        cx += s.share[at] * s.x[at]
        cy += s.share[at] * s.y[at]
        cz += s.share[at] * s.z[at]
        given += s.mass[at] * GRAVITY * s.y[at]
    for j in range(room[1]):
        at = j * LANES + lane
        s.signal[at] = F(0.0)
        if j < m1 - m0:
            gene = genomes.muscle_gene[m0 + j]
            one = find(genomes.body_id, b0, b1, genomes.muscle_ends[m0 + j, 0]) - b0
            two = find(genomes.body_id, b0, b1, genomes.muscle_ends[m0 + j, 1]) - b0
            join(s, j, room[0], lane, one, two)
            a, b = one * LANES + lane, two * LANES + lane
            dx, dy, dz = s.x[b] - s.x[a], s.y[b] - s.y[a], s.z[b] - s.z[a]
            s.rest[at] = s.target[at] = gene[columns.REST]
            s.length[at] = np.sqrt(dx * dx + dy * dy + dz * dz)
            s.stiffness[at], s.damping[at] = gene[columns.STIFFNESS], gene[columns.DAMPING]
            s.frequency[at] = gene[columns.FREQUENCY] * genomes.shared[p, columns.MULTIPLIER]
            s.amplitude[at], s.phase[at] = gene[columns.AMPLITUDE], gene[columns.PHASE] / TWO_PI
            stretch = s.length[at] - s.rest[at]
            given += F(0.5) * s.stiffness[at] * stretch * stretch
        else:
            join(s, j, room[0], lane, -1, -1)
            s.rest[at] = s.target[at] = s.length[at] = F(1.0)
            s.stiffness[at] = s.damping[at] = s.frequency[at] = s.amplitude[at] = s.phase[at] = F(0.0)
    radius = F(1.0)
    for n in range(b1 - b0):
        at = n * LANES + lane
        radius = max(radius, np.sqrt((s.x[at] - cx) ** 2 + (s.z[at] - cz) ** 2))
    for number in range(physics.LANE_ROWS):
        s.lane[number * LANES + lane] = F(0.0)
    put(s, physics.CENTRE_X, lane, cx)
    put(s, physics.CENTRE_Y, lane, cy)
    put(s, physics.CENTRE_Z, lane, cz)
    put(s, physics.RADIUS, lane, radius)
    put(s, physics.TOTAL_MASS, lane, total)
    put(s, physics.ENERGY_GIVEN, lane, given)
    put(s, physics.REACH, lane, REACH)


@kernel
def drop_pellet(s: Any, lane: Any, key: Any, number: Any, angle: Any) -> Any:
    """Place pellet `number` of the episode `key` for a lane's creature; returns its angle (rad).

    Draws 3n, 3n + 1, 3n + 2 of the stream give angle, edge distance and height, the same for every genome.
    """
    turn = uniform(key, 3 * number)
    angle = turn * TWO_PI if number == 0 else angle + F(np.pi) + (turn - F(0.5)) * F(np.pi)
    nearest = F(7.0) if number == 0 else (F(8.0) if number <= 2 else F(9.0))
    edge = nearest + uniform(key, 3 * number + 1)
    away = edge + get(s, physics.RADIUS, lane)
    put(s, physics.PELLET_X, lane, get(s, physics.CENTRE_X, lane) + away * np.cos(angle))
    put(s, physics.PELLET_Z, lane, get(s, physics.CENTRE_Z, lane) + away * np.sin(angle))
    put(s, physics.PELLET_Y, lane, F(0.5) + F(0.5) * uniform(key, 3 * number + 2))
    put(s, physics.FIRST, lane, edge)
    put(s, physics.BEST, lane, edge)
    put(s, physics.DISTANCE, lane, edge)
    put(s, physics.GAP, lane, F(1.0))
    return angle


@kernel
def sense(s: Any, brain: Any, layout: Any, task: Any, used: Any, room: Any) -> Any:
    """Write the inputs of all lanes; `used` = (body nodes, muscles) of the block."""
    one = fill(F(1.0))
    zero = fill(F(0.0))
    value = brain.value
    dx = vload(s.lane, physics.PELLET_X * LANES) - vload(s.lane, physics.CENTRE_X * LANES)
    dy = vload(s.lane, physics.PELLET_Y * LANES) - vload(s.lane, physics.CENTRE_Y * LANES)
    dz = vload(s.lane, physics.PELLET_Z * LANES) - vload(s.lane, physics.CENTRE_Z * LANES)
    distance = vsqrt(fma(dx, dx, fma(dy, dy, fma(dz, dz, fill(F(1e-12))))))
    vstore(value, 0, dx / distance)
    vstore(value, LANES, dy / distance)
    vstore(value, 2 * LANES, dz / distance)
    fastest = fill(F(1.0 / task.max_velocity))
    for axis in range(3):
        speed = vload(s.lane, (physics.SPEED_X + axis) * LANES) * fastest
        vstore(value, (3 + axis) * LANES, vmax(vmin(speed, one), zero - one))
    vstore(value, 6 * LANES, vmin(distance * fill(F(0.05)), one))
    slot = 7
    step = vload(s.lane, physics.STEP * LANES)
    turns = step * fill(DT * F(0.5))
    if task.encoding == 1 or task.encoding == 3 or task.encoding == 4:
        vstore(value, slot * LANES, zero - sine_of_turns(turns + fill(F(0.25))))
        slot += 1
    if task.encoding == 2 or task.encoding == 4:
        vstore(value, slot * LANES, step * fill(F(2.0 / task.steps)) - one)
        slot += 1
    if task.encoding == 3:
        vstore(value, slot * LANES, sine_of_turns(turns))
        slot += 1
    if layout.constant:
        vstore(value, slot * LANES, one)
        slot += 1
    if layout.strain:
        for j in range(used[1]):
            rest = vload(s.rest, j * LANES)
            vstore(value, (slot + j) * LANES, (vload(s.length, j * LANES) - rest) / rest)
        slot += room[1]
    if layout.velocity:
        for n in range(used[0]):
            vstore(value, (slot + 3 * n) * LANES, vload(s.vx, n * LANES) * fill(F(0.1)))
            vstore(value, (slot + 3 * n + 1) * LANES, vload(s.vy, n * LANES) * fill(F(0.1)))
            vstore(value, (slot + 3 * n + 2) * LANES, vload(s.vz, n * LANES) * fill(F(0.1)))
        slot += 3 * room[0]
    if layout.contact:
        for n in range(used[0]):
            vstore(value, (slot + n) * LANES, vload(s.touching, n * LANES))


@kernel
def act(s: Any, brain: Any, muscles: Any, counts: Any, task: Any, first_tick: Any) -> Any:
    """Dead zone, effort and smoothing of all lanes' outputs; counts [row]: 1 / muscles of each lane."""
    zero = fill(F(0.0))
    some = fill(F(task.smoothing))
    rest = fill(F(1.0) - F(task.smoothing))
    fresh = vload(first_tick, 0) > zero
    effort = zero
    for j in range(muscles):
        u = vload(brain.drive, j * LANES)
        u = select(vabs(u) < fill(F(task.dead_zone)), zero, u)
        effort = effort + select(vload(s.stiffness, j * LANES) > zero, vabs(u), zero)
        smoothed = fma(some, u, rest * vload(s.signal, j * LANES))
        vstore(s.signal, j * LANES, select(fresh, u, smoothed))
    total = fma(effort, vload(counts, 0), vload(s.lane, physics.EFFORT * LANES))
    vstore(s.lane, physics.EFFORT * LANES, total)
