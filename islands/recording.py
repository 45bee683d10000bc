"""Recordings: an evaluated episode as plain values, small enough to mail. `record` makes it; `unpack` gives the frames.

A frame is a row of C numbers: of a creature the positions of its body nodes (x, y, z; m, y is up), of another task its
state. They are kept as int16 in the units `units` (what one step of the integer means, by column), so that a number is
off by at most half of its unit: 1 mm for a creature. `frames` is base64 of a raw deflate stream: the first row and then
the difference of each row to the one before (modulo 2^16), column by column, all low bytes and then all high bytes.
"""

from __future__ import annotations

import base64
import zlib
from typing import Any, NamedTuple

import numpy as np

from islands.genome.population import Array, Genomes
from islands.tasks import Task, acrobot, cartpole, double_pole, pendulum

FORMAT = 1
RATE = 30
"""Frames a second, about, and at most."""
MOST = 1800
"""Frames of a recording: a minute of it. A longer episode of pellets has fewer a second, another's film ends there."""
UNIT = 0.002
"""Of positions, m: 65 m each way fit, and a creature that is 50 m off is out of its episode."""
LARGEST = 32767


class Motion(NamedTuple):
    """A task without bodies that can be drawn: as what, its step in s, what the numbers of its state are."""

    kind: str
    seconds: float
    state: tuple[str, ...]


_CART = ("x (m)", "dx/dt (m/s)", "angle (rad)", "angular speed (rad/s)")
_PENDULUM = ("angle (rad)", "angular speed (rad/s)")
_CAR = Motion("car", 1 / 30, ("position", "velocity (per step)"))
MOTIONS: dict[str, Motion] = {
    "cartpole": Motion("cart", cartpole.TAU, _CART),
    "cartpole_swing_up": Motion("cart", cartpole.TAU, _CART),
    "double_pole": Motion("cart", 2 * double_pole.TAU, (*_CART, "short pole: angle (rad)", "its speed (rad/s)")),
    "acrobot": Motion("acrobot", acrobot.TAU, ("angle 1 (rad)", "angle 2 (rad)", "speed 1 (rad/s)", "speed 2 (rad/s)")),
    "mountain_car": _CAR,  # its time has no unit: shown at 30 steps a second
    "mountain_car_continuous": _CAR,
    "pendulum": Motion("pendulum", pendulum.TAU, _PENDULUM),
}
"""What can be drawn besides creatures; see `Motion`."""


def can_record(task: str) -> bool:
    """Whether there is something to see in an episode of the task of this name."""
    return task == "pellets" or task in MOTIONS


def record(name: str, task: Task, genomes: Genomes, row: int, key: np.uint64) -> dict[str, Any]:
    """Play the episode of stream `key` with genome `row`; `name` is the task's."""
    if name == "pellets":
        return _creature(task, genomes, row, key)
    return _plain(name, task, genomes, row, key)


def _creature(task: Any, genomes: Genomes, row: int, key: np.uint64) -> dict[str, Any]:
    from islands.tasks.pellets_recording import film

    found = film(task, genomes, row, key)
    length = len(found.frames) - 1
    every = max(1, -(-length // MOST))
    steps = [*range(0, length, every), length]
    values = np.stack([found.frames[step] for step in steps]).reshape(len(steps), -1)
    went = found.centre(length) - found.centre(0)
    return {
        **_common("pellets", "creature", found.fitness, task.reasons[found.reason], length, 1 / 30, steps),
        **pack(values, np.full(values.shape[1], UNIT)),
        "radius": _short(found.radius), "mass": _short(found.mass), "rest": _short(found.rest),
        "muscles": found.ends.tolist(),
        "pellets": [{"at": _short(each.at), "since": each.since, "eaten": each.eaten} for each in found.pellets],
        "went": _short(went[[0, 2]]),
    }  # fmt: skip


def _plain(name: str, task: Any, genomes: Genomes, row: int, key: np.uint64) -> dict[str, Any]:
    from islands.tasks.plain_recording import film

    motion = MOTIONS[name]
    every = max(1, round(1 / (RATE * motion.seconds)))
    found = film(task, genomes, row, key, every, MOST)
    largest = np.abs(np.nan_to_num(found.states)).max(axis=0)
    units = np.maximum(largest, 1e-6) / LARGEST
    numbers = {key: value for key, value in task.numbers._asdict().items() if isinstance(value, int | float)}
    return {
        **_common(name, motion.kind, found.fitness, task.reasons[found.reason], found.length, motion.seconds,
                  found.steps.tolist()),
        **pack(found.states, units),
        "state": list(motion.state), "numbers": numbers, "end": _short(found.states[-1]),
    }  # fmt: skip


def _common(
    task: str, kind: str, fitness: float, reason: str, length: int, seconds: float, steps: list[int]
) -> dict[str, Any]:
    """`steps` of the frames: all `every` apart but the last."""
    return {
        "format": FORMAT, "task": task, "kind": kind, "fitness": fitness, "ended": reason, "steps": length,
        "step_seconds": seconds, "every": steps[1] - steps[0] if len(steps) > 2 else max(1, steps[-1]),
        "last": steps[-1],
    }  # fmt: skip


def _short(values: Any) -> list[float]:
    """Numbers as float32 says them."""
    return [float(str(np.float32(value))) for value in values]


def pack(values: Array, units: Array) -> dict[str, Any]:
    """`values` [F, C] as whole numbers of `units` [C]; the keys `shape`, `units` and `frames` of a recording."""
    rounded = np.rint(np.nan_to_num(np.asarray(values, np.float64)) / units).clip(-LARGEST, LARGEST).astype(np.int16)
    steps = np.diff(rounded, axis=0, prepend=np.zeros((1, rounded.shape[1]), np.int16))  # wraps, and back again
    plain = np.ascontiguousarray(steps.T).astype("<i2").view(np.uint8).reshape(-1, 2)
    squeezed = zlib.compressobj(9, zlib.DEFLATED, -15)
    content = squeezed.compress(plain.T.tobytes()) + squeezed.flush()
    same = len(set(units.tolist())) == 1
    return {
        "shape": list(rounded.shape),
        "units": [float(units[0])] if same else units.tolist(),
        "frames": base64.b64encode(content).decode(),
    }


def unpack(recording: dict[str, Any]) -> Array:
    """The frames of a recording: float64 [F, C]."""
    rows, width = recording["shape"]
    plain = np.frombuffer(zlib.decompress(base64.b64decode(recording["frames"]), -15), np.uint8)
    steps = np.ascontiguousarray(plain.reshape(2, -1).T).view("<i2").reshape(width, rows).T
    found: Array = np.cumsum(steps, axis=0, dtype=np.int16) * np.array(recording["units"], np.float64)
    return found
