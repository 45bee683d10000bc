"""What a thread of a GPU has instead of sixteen lanes: one of LANES, its own.

These functions take the places of those of the same names in the CPU's kernels. They are never called as they stand:
`translation.translated` compiles them, with `cuda` and `libdevice` as `names_for` says.
"""

from __future__ import annotations

import math
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from islands.networks import Desk

F = np.float32
LANES = 1 << 16
"""Threads at most, and the distance between two numbers of one thread: neighbours read side by side. Enough to fill a
GPU of 132 multiprocessors with 16 warps each; more would only take memory."""
BLOCK = 128
"""Threads a block."""
cuda = libdevice = load_program = sum_of = drive_one = None
"""Stand-ins for what `names_for` puts here."""


def own() -> Any:
    """This thread's lane."""
    return cuda.grid(1)  # type: ignore[attr-defined]


def vload(array: Any, offset: Any) -> Any:
    """See `lanes`."""
    return array[np.uint64(offset + own())]


def vstore(array: Any, offset: Any, value: Any) -> None:
    """See `lanes`."""
    array[np.uint64(offset + own())] = value


def fill(value: Any) -> Any:
    """See `lanes`."""
    return F(value)


def vmin(a: Any, b: Any) -> Any:
    """See `lanes`."""
    return libdevice.fminf(a, b)  # type: ignore[attr-defined]


def vmax(a: Any, b: Any) -> Any:
    """See `lanes`."""
    return libdevice.fmaxf(a, b)  # type: ignore[attr-defined]


def vabs(a: Any) -> Any:
    """See `lanes`."""
    return libdevice.fabsf(a)  # type: ignore[attr-defined]


def vfloor(a: Any) -> Any:
    """See `lanes`."""
    return libdevice.floorf(a)  # type: ignore[attr-defined]


def vsqrt(a: Any) -> Any:
    """See `lanes`."""
    return libdevice.sqrtf(a)  # type: ignore[attr-defined]


def fma(a: Any, b: Any, c: Any) -> Any:
    """See `lanes`."""
    return libdevice.fmaf(a, b, c)  # type: ignore[attr-defined]


def select(mask: Any, a: Any, b: Any) -> Any:
    """See `lanes`."""
    return a if mask else b


def any_lane(mask: Any) -> Any:
    """See `lanes`."""
    return mask


def load_neat(brain: Any, genomes: Any, p: Any, lane: Any, layout: Any, room: Any, slots: Any) -> None:
    """See `networks_lanes`: here every lane has a desk of its own, since all are at work at once."""
    d = brain.desk
    desk = Desk(
        d.into[lane], d.source_row[lane], d.target_row[lane], d.by_target[lane], d.fill_at[lane], d.place[lane],
        d.stack[lane], d.edge[lane], d.seen[lane],
    )  # fmt: skip
    marks, order = brain.marks[lane], brain.order[lane]
    load_program(brain, genomes, p, lane, layout, room, slots, marks, order, desk)  # type: ignore[misc]


def longest(brain: Any) -> Any:
    """See `networks_lanes`."""
    return brain.count[own()]


def add_up(brain: Any, k: Any) -> None:
    """See `networks_lanes`."""
    lane = own()
    brain.sums[lane] = sum_of(brain, k, lane)  # type: ignore[misc]


def drive(brain: Any, layout: Any, j: Any) -> None:
    """See `networks_lanes`."""
    drive_one(brain, layout, j, own())  # type: ignore[misc]


def join(s: Any, j: Any, stride: Any, lane: Any, one: Any, two: Any) -> None:
    """See `pellets_physics`: a thread looks its muscle's ends up instead of going through all body nodes."""
    s.signs[2 * j * LANES + lane] = F(one)
    s.signs[(2 * j + 1) * LANES + lane] = F(two)


def ends_of(s: Any, j: Any) -> Any:
    """Where the numbers of the two body nodes lie that muscle `j` joins."""
    lane = own()
    one, two = vload(s.signs, 2 * j * LANES), vload(s.signs, (2 * j + 1) * LANES)
    return np.int64(one) * LANES + lane, np.int64(two) * LANES + lane


def apart(s: Any, j: Any, nodes: Any, stride: Any) -> Any:
    """See `pellets_physics`."""
    one, two = ends_of(s, j)
    return (
        s.x[two] - s.x[one], s.y[two] - s.y[one], s.z[two] - s.z[one],
        s.vx[two] - s.vx[one], s.vy[two] - s.vy[one], s.vz[two] - s.vz[one],
    )  # fmt: skip


def pull_ends(s: Any, j: Any, fx: Any, fy: Any, fz: Any) -> None:
    """See `pellets_physics`: the rows gx, gy, gz hold sums of forces on body nodes here."""
    one, two = ends_of(s, j)
    s.gx[one] -= fx
    s.gy[one] -= fy
    s.gz[one] -= fz
    s.gx[two] += fx
    s.gy[two] += fy
    s.gz[two] += fz


def force_on(s: Any, n: Any, stride: Any, muscles: Any) -> Any:
    """See `pellets_physics`; clears the sums for the next step."""
    at = n * LANES
    fx, fy, fz = vload(s.gx, at), vload(s.gy, at), vload(s.gz, at)
    vstore(s.gx, at, F(0.0))
    vstore(s.gy, at, F(0.0))
    vstore(s.gz, at, F(0.0))
    return fx, fy, fz


def _numpy() -> ModuleType:
    """What compiled code asks of NumPy, as far as a GPU's compiler knows it: for single numbers."""
    made = ModuleType("np")
    for name in ("float32", "float64", "int64", "uint64", "pi"):
        setattr(made, name, getattr(np, name))
    for name in ("sqrt", "sin", "cos", "floor", "isfinite"):
        setattr(made, name, getattr(math, name))
    return made


def names_for(**names: Any) -> dict[str, Any]:
    """What names stand for on a device: the functions of this file, NumPy, and `names`: cuda, libdevice, LANES."""
    own_functions = {
        name: value
        for name, value in globals().items()
        if isinstance(value, FunctionType) and value.__module__ == __name__ and name not in ("names_for", "_numpy")
    }
    return {"np": _numpy(), **own_functions, **names}
