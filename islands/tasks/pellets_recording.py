"""One episode of pellets, step by step, for those who want to look on.

The creature is alone in lane 0 and is moved by the very kernels that `run_episodes` is made of, in its order, so that
what is recorded is the evaluation itself, bit for bit.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

import numba
import numpy as np

from islands import lanes
from islands.genome.population import HYBRID, Array, Genomes, take
from islands.networks import input_slots
from islands.networks_lanes import load_fixed, load_neat, make_brain, think_fixed, think_neat
from islands.tasks import pellets_episodes, pellets_physics
from islands.tasks.pellets import Pellets
from islands.tasks.pellets_kernel import FINISHED, TICK, act, drop_pellet, load_body, sense

LANE = np.int64(0)


def _step(s: Any, nodes: Any, stride: Any, muscles: Any, hybrid: Any) -> None:
    """One physics step; its answer, a mask over lanes, has no meaning outside compiled code."""
    pellets_physics.pull_muscles(s, nodes, stride, muscles, hybrid)
    pellets_physics.move_nodes(s, nodes, stride, muscles)


@functools.cache
def stepper() -> Any:
    """`_step` compiled, for this process alone: it is in no cache, so no version of one depends on this file."""
    return numba.njit(_step, error_model="numpy")


@dataclass
class Pellet:
    """Where one lay (m), from which step on, and at which step it was eaten; None: never."""

    at: tuple[float, float, float]
    since: int
    eaten: int | None = None


@dataclass
class Film:
    """What there was to see. Steps are those of the physics, 1/30 s each."""

    radius: Array  # float32 [N] m
    mass: Array  # float32 [N] kg
    ends: Array  # int64 [M, 2]: the body nodes that a muscle joins
    rest: Array  # float32 [M] m
    frames: list[Array] = field(default_factory=list)  # of each step, from 0 on: float32 [N, 3] m
    pellets: list[Pellet] = field(default_factory=list)
    fitness: float = 0.0
    reason: int = FINISHED

    def centre(self, frame: int) -> Array:
        """The centre of mass (m) in a frame: float64 [3]."""
        found: Array = (self.mass[:, None] * self.frames[frame].astype(np.float64)).sum(axis=0) / self.mass.sum()
        return found


class Stage:
    """A creature in the kernel's lanes."""

    def __init__(self, task: Pellets, genomes: Genomes, row: int, key: np.uint64) -> None:
        self.task, self.layout, self.key = task.parameters, task.layout, np.uint64(key)
        one = take(genomes, [row])
        self.room = (np.int64(len(one.body_id)), np.int64(len(one.muscle_id)))
        self.slots = input_slots(self.layout, *map(int, self.room))
        self.s: Any = pellets_physics.make_lanes(*map(int, self.room))
        muscles = int(self.room[1])
        self.brain: Any = make_brain(self.slots, self.layout, len(one.node_id), len(one.conn_id), muscles)
        self.counts, self.fresh = np.zeros(lanes.LANES, np.float32), np.zeros(lanes.LANES, np.float32)
        self.counts[LANE], self.fresh[LANE] = np.float32(1.0) / np.float32(max(1, muscles)), 1.0
        load_body(self.s, one, np.int64(0), LANE, self.task, self.room)
        load = load_fixed if self.layout.hidden else load_neat
        load(self.brain, one, np.int64(0), LANE, self.layout, self.room, self.slots)
        at = np.searchsorted(one.body_id, one.muscle_ends)
        self.film = Film(self._view("radius"), self._view("mass"), at, self._view("rest")[:muscles])
        self.number, self.angle = 0, np.float32(0.0)
        self.drop(0)
        self.take_picture()

    def _view(self, name: str) -> Array:
        found: Array = getattr(self.s, name).reshape(-1, lanes.LANES)[:, LANE].copy()
        return found

    def row(self, which: int) -> np.float32:
        """One of the numbers that a creature has one of."""
        return np.float32(self.s.lane.reshape(-1, lanes.LANES)[which, LANE])

    def drop(self, now: int) -> None:
        """The next pellet."""
        angle = drop_pellet(self.s, LANE, self.key, np.int64(self.number), np.float32(self.angle))
        self.angle = np.float32(angle)
        x, y, z = (float(self.row(w)) for w in range(pellets_physics.PELLET_X, pellets_physics.PELLET_X + 3))
        self.film.pellets.append(Pellet((x, y, z), now))

    def take_picture(self) -> None:
        """Where every body node is."""
        self.film.frames.append(np.stack([self._view(axis) for axis in "xyz"], axis=1))

    def tick(self) -> None:
        """One control tick."""
        sense(self.s, self.brain, self.layout, self.task, self.room, self.room)
        if self.layout.hidden:
            think_fixed(self.brain, self.layout, self.slots, self.room, self.room)
        else:
            think_neat(self.brain, self.layout, self.slots, self.room)
        act(self.s, self.brain, self.room[1], self.counts, self.task, self.fresh)
        self.fresh[LANE] = 0.0

    def move(self, now: int) -> bool:
        """The physics step that ends as step `now`; whether the body is still possible."""
        stepper()(self.s, self.room[0], self.room[0], self.room[1], self.layout.mode == HYBRID)
        self.take_picture()
        if self.row(pellets_physics.GAP) <= 0.0:
            self.film.pellets[-1].eaten = now
            self.number += 1
            self.drop(now)
        return bool(self.row(pellets_physics.FINE) > 0.0)

    def score(self, ticks: int) -> float:
        """The fitness as it stands."""
        found = pellets_episodes.score(self.s, LANE, np.int64(self.number), np.int64(ticks), self.task.penalty)
        return float(np.float32(found))


def film(task: Pellets, genomes: Genomes, row: int, key: np.uint64) -> Film:
    """Genome `row` against the pellets of stream `key`. Cost: a tenth of a second, most of it in Python."""
    stage, ticks = Stage(task, genomes, row, key), 0
    for now in range(1, task.parameters.steps + 1):
        if (now - 1) % TICK == 0:
            stage.tick()
            ticks += 1
        if not stage.move(now):
            stage.film.reason = int(pellets_episodes.end_reason(stage.s, LANE, stage.room[0]))
            return stage.film
    stage.film.fitness = stage.score(ticks)
    return stage.film
