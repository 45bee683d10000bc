"""The physics of sixteen creatures side by side, for the compiled pellets kernel.

Every quantity is a flat float32 array of rows of sixteen lanes. A muscle's two
ends are not indices but a row of signs per body node (-1 its first end, +1 its
second, 0 otherwise), so gathering the ends and scattering the forces are
multiply-adds over the nodes of the block, without a branch or an indexed load.
Products with 0 and +-1 are exact, so a creature's numbers are those it would
have alone (up to the sign of a zero, which nothing here can tell apart).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from islands.curves import sine_of_turns
from islands.kernel import kernel
from islands.lanes import LANES, any_lane, fill, fma, select, vabs, vload, vmax, vmin, vsqrt, vstore

F = np.float32
DT = F(1.0 / 30.0)
"""Seconds a physics step."""
GRAVITY = F(9.8)
RESTITUTION = F(0.2)
TARGET_SPEED = F(5.0)
FAR, HIGH = F(50.0), F(30.0)
"""Limits of a body's distance from the origin and of its height, m."""
KEEP = F(0.9 ** (1.0 / 30.0))
"""Share of a velocity that is left after one step."""
SLOWEST = F(0.02)
"""Metres a step below which a movement of the centre of mass does not count as path."""
ENERGY_FACTOR, ENERGY_MARGIN = F(4.0), F(100.0)
"""A body is exploding when its energy exceeds the factor times all it was given, plus the margin (J)."""


class Lanes(NamedTuple):
    """The state of sixteen creatures: float32 rows of 16, `node` rows per body node, `muscle` rows per muscle."""

    x: Any
    y: Any
    z: Any
    vx: Any
    vy: Any
    vz: Any
    mass: Any  # kg
    inverse: Any  # 1 / mass; 0 in unused rows, which therefore never move
    share: Any  # mass / total mass
    radius: Any  # m
    grip: Any  # horizontal speed that friction takes in a step, m/s
    touching: Any  # 1 where the node is on the ground
    signs: Any  # [muscle * nodes + node]
    stiffness: Any
    damping: Any
    rest: Any  # m
    target: Any  # m
    length: Any  # m, at the start of the step
    signal: Any  # smoothed output s of each muscle
    frequency: Any  # turns a second, the multiplier included
    amplitude: Any
    phase: Any  # turns
    gx: Any  # force of each muscle on its second end, N
    gy: Any
    gz: Any
    lane: Any  # rows of per-creature numbers, see the constants below


# Rows of Lanes.lane
(PELLET_X, PELLET_Y, PELLET_Z, REACH, TOTAL_MASS, ENERGY_GIVEN, PATH, EFFORT, CENTRE_X, CENTRE_Y, CENTRE_Z, DISTANCE,
 BEST, FIRST, RADIUS, STEP, SPEED_X, SPEED_Y, SPEED_Z, GAP, FARTHEST, HIGHEST, FINE, LANE_ROWS) = range(24)  # fmt: skip


def make_lanes(nodes: int, muscles: int) -> Lanes:
    """Zeroed state for bodies of at most `nodes` body nodes and `muscles` muscles."""
    per_node = [np.zeros(nodes * LANES, np.float32) for _ in range(12)]
    signs = np.zeros(nodes * muscles * LANES, np.float32)
    per_muscle = [np.zeros(muscles * LANES, np.float32) for _ in range(12)]
    return Lanes._make([*per_node, signs, *per_muscle, np.zeros(LANE_ROWS * LANES, np.float32)])


@kernel
def get(s: Any, row: Any, lane: Any) -> Any:
    """A creature's number `row`, see the constants above."""
    return s.lane[row * LANES + lane]


@kernel
def put(s: Any, row: Any, lane: Any, value: Any) -> Any:
    """Set a creature's number `row`."""
    s.lane[row * LANES + lane] = value


@kernel
def join(s: Any, j: Any, stride: Any, lane: Any, one: Any, two: Any) -> Any:
    """Let a lane's muscle `j` run from body node `one` to `two`; -1: there is no such muscle."""
    for n in range(stride):
        s.signs[(j * stride + n) * LANES + lane] = F(0.0)
    if one >= 0:
        s.signs[(j * stride + one) * LANES + lane] = F(-1.0)
        s.signs[(j * stride + two) * LANES + lane] = F(1.0)


@kernel
def apart(s: Any, j: Any, nodes: Any, stride: Any) -> Any:
    """The way from a muscle's first end to its second (m), and how fast it grows (m/s): x y z each."""
    dx = dy = dz = ux = uy = uz = fill(F(0.0))
    for n in range(nodes):
        sign = vload(s.signs, (j * stride + n) * LANES)
        at = n * LANES
        dx = fma(sign, vload(s.x, at), dx)
        dy = fma(sign, vload(s.y, at), dy)
        dz = fma(sign, vload(s.z, at), dz)
        ux = fma(sign, vload(s.vx, at), ux)
        uy = fma(sign, vload(s.vy, at), uy)
        uz = fma(sign, vload(s.vz, at), uz)
    return dx, dy, dz, ux, uy, uz


@kernel
def pull_ends(s: Any, j: Any, fx: Any, fy: Any, fz: Any) -> Any:
    """Muscle `j` pulls with this force (N) at its second end, and against it at its first."""
    vstore(s.gx, j * LANES, fx)
    vstore(s.gy, j * LANES, fy)
    vstore(s.gz, j * LANES, fz)


@kernel
def force_on(s: Any, n: Any, stride: Any, muscles: Any) -> Any:
    """What all muscles pull body node `n` with, N: x y z."""
    fx = fy = fz = fill(F(0.0))
    for j in range(muscles):
        sign = vload(s.signs, (j * stride + n) * LANES)
        fx = fma(sign, vload(s.gx, j * LANES), fx)
        fy = fma(sign, vload(s.gy, j * LANES), fy)
        fz = fma(sign, vload(s.gz, j * LANES), fz)
    return fx, fy, fz


@kernel
def pull_muscles(s: Any, nodes: Any, stride: Any, muscles: Any, hybrid: Any) -> Any:
    """Move every muscle's target and set the forces g; adds the work of the moving targets to ENERGY_GIVEN.

    `nodes`, `muscles`: how many rows the block uses; `stride`: body nodes a muscle has sign rows for.
    """
    one = fill(F(1.0))
    zero = fill(F(0.0))
    most = fill(TARGET_SPEED * DT)
    given = vload(s.lane, ENERGY_GIVEN * LANES)
    time = vload(s.lane, STEP * LANES) * fill(DT)
    for j in range(muscles):
        row = j * LANES
        dx, dy, dz, ux, uy, uz = apart(s, j, nodes, stride)
        length = vsqrt(fma(dx, dx, fma(dy, dy, fma(dz, dz, fill(F(1e-12))))))
        inverse = one / length
        rest = vload(s.rest, row)
        signal = vload(s.signal, row)
        if hybrid:
            wave = sine_of_turns(fma(vload(s.frequency, row), time, vload(s.phase, row)))
            depth = vload(s.amplitude, row) * fma(fill(F(0.5)), signal, one)
            wanted = rest * (one - wave * depth)
        else:
            wanted = rest * (one - signal)
        before = vload(s.target, row)
        target = before + vmax(vmin(wanted - before, most), zero - most)
        target = vmax(vmin(target, rest + rest), rest * fill(F(0.5)))
        vstore(s.target, row, target)
        stiffness = vload(s.stiffness, row)
        stretch = length - target
        was = length - before
        given = given + vmax(fill(F(0.5)) * stiffness * (stretch * stretch - was * was), zero)
        rate = fma(ux, dx, fma(uy, dy, uz * dz)) * inverse
        pull = (zero - fma(stiffness, stretch, vload(s.damping, row) * rate)) * inverse
        vstore(s.length, row, length)
        pull_ends(s, j, pull * dx, pull * dy, pull * dz)
    vstore(s.lane, ENERGY_GIVEN * LANES, given)


@kernel
def move_nodes(s: Any, nodes: Any, stride: Any, muscles: Any) -> Any:
    """Sum forces, integrate, meet the ground; then centre of mass, path, gap to the pellet and the energy check.

    Returns the mask of the lanes whose body is no longer possible.
    """
    zero = fill(F(0.0))
    keep = fill(KEEP)
    dt = fill(DT)
    fall = fill(GRAVITY * DT)
    cx = cy = cz = sx = sy = sz = energy = zero
    px = vload(s.lane, PELLET_X * LANES)
    py = vload(s.lane, PELLET_Y * LANES)
    pz = vload(s.lane, PELLET_Z * LANES)
    gap = fill(F(1e9))
    far = fill(F(0.0))
    high = fill(F(-1e9))
    for n in range(nodes):
        at = n * LANES
        fx, fy, fz = force_on(s, n, stride, muscles)
        push = vload(s.inverse, at) * dt
        vx = fma(fx, push, vload(s.vx, at)) * keep
        vy = (fma(fy, push, vload(s.vy, at)) - fall) * keep
        vz = fma(fz, push, vload(s.vz, at)) * keep
        x = fma(vx, dt, vload(s.x, at))
        y = fma(vy, dt, vload(s.y, at))
        z = fma(vz, dt, vload(s.z, at))
        radius = vload(s.radius, at)
        under = y < radius
        y = select(under, radius, y)
        vy = select(under & (vy < zero), vy * fill(-RESTITUTION), vy)
        speed = vsqrt(fma(vx, vx, fma(vz, vz, fill(F(1e-12)))))
        slowed = vmax(speed - vload(s.grip, at), zero) / speed
        vx = select(under, vx * slowed, vx)
        vz = select(under, vz * slowed, vz)
        vstore(s.touching, at, select(under, fill(F(1.0)), zero))
        vstore(s.x, at, x)
        vstore(s.y, at, y)
        vstore(s.z, at, z)
        vstore(s.vx, at, vx)
        vstore(s.vy, at, vy)
        vstore(s.vz, at, vz)
        share = vload(s.share, at)
        cx = fma(share, x, cx)
        cy = fma(share, y, cy)
        cz = fma(share, z, cz)
        sx = fma(share, vx, sx)
        sy = fma(share, vy, sy)
        sz = fma(share, vz, sz)
        mass = vload(s.mass, at)
        square = fma(vx, vx, fma(vy, vy, vz * vz))
        energy = fma(mass, fma(fill(F(0.5)), square, fill(GRAVITY) * y), energy)
        ex = x - px
        ey = y - py
        ez = z - pz
        away = vsqrt(fma(ex, ex, fma(ey, ey, ez * ez))) - radius
        used = mass > zero
        gap = select(used & (away < gap), away, gap)
        far = select(used, vmax(far, fma(x, x, fma(y, y, z * z))), far)
        high = select(used, vmax(high, y), high)
    mx = cx - vload(s.lane, CENTRE_X * LANES)
    mz = cz - vload(s.lane, CENTRE_Z * LANES)
    moved = vsqrt(fma(mx, mx, mz * mz))
    path = vload(s.lane, PATH * LANES)
    vstore(s.lane, PATH * LANES, select(moved > fill(SLOWEST), path + moved, path))
    vstore(s.lane, CENTRE_X * LANES, cx)
    vstore(s.lane, CENTRE_Y * LANES, cy)
    vstore(s.lane, CENTRE_Z * LANES, cz)
    vstore(s.lane, SPEED_X * LANES, sx)
    vstore(s.lane, SPEED_Y * LANES, sy)
    vstore(s.lane, SPEED_Z * LANES, sz)
    hx = px - cx
    hz = pz - cz
    distance = vmax(vsqrt(fma(hx, hx, hz * hz)) - vload(s.lane, RADIUS * LANES), zero)
    vstore(s.lane, DISTANCE * LANES, distance)
    vstore(s.lane, BEST * LANES, vmin(vload(s.lane, BEST * LANES), distance))
    vstore(s.lane, GAP * LANES, gap - vload(s.lane, REACH * LANES))
    vstore(s.lane, STEP * LANES, vload(s.lane, STEP * LANES) + fill(F(1.0)))
    allowed = fma(fill(ENERGY_FACTOR), vload(s.lane, ENERGY_GIVEN * LANES), fill(ENERGY_MARGIN))
    fine = (far <= fill(FAR * FAR)) & (high <= fill(HIGH)) & (energy <= allowed) & (vabs(cx) <= fill(FAR))
    vstore(s.lane, FARTHEST * LANES, far)
    vstore(s.lane, HIGHEST * LANES, high)
    vstore(s.lane, FINE * LANES, select(fine, fill(F(1.0)), zero))
    return fine


@kernel
def all_fine(fine: Any) -> Any:
    """Whether the mask holds in every lane."""
    one = fill(F(1.0))
    return not any_lane(select(fine, fill(F(0.0)), one) > fill(F(0.0)))
