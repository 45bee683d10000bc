"""Pellets: soft creatures hunt food; body and brain evolve together.

A creature is a body of point masses joined by spring muscles in 3-D, driven by
its network at 10 Hz for `task.duration` seconds of 1/30 s steps. Units are m, s,
kg, N; y is up and the ground is at 0. The physics is in `pellets_physics` (the
compiled one, for the CPU and, by `islands.gpu`, for a GPU) and, readable and
batched, in `pellets_torch` (the reference).

    fitness = max(0, 100 N + 80 clamp((d0 - d) / d0, 0, 1) + min(20, 3 path)
                  - (20 clamp((d - d_best) / (d0 / 2), 0, 1) if N > 0) - 10 efficiency_penalty mean|u|)

with N pellets eaten, d the horizontal distance from the creature's edge to the
pellet, d0 that distance when the pellet appeared.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from islands.config import Config, PelletsConfig
from islands.genome.population import Array, Genomes, Layout, has, inverse, layout_of
from islands.networks import input_slots
from islands.networks_lanes import largest, make_brain
from islands.tasks import Played, Task, Verdict
from islands.tasks.pellets_episodes import make_out, make_seats, run_episodes
from islands.tasks.pellets_kernel import Parameters
from islands.tasks.pellets_physics import make_lanes

STEPS_PER_SECOND = 30
ENCODINGS = ("none", "sin", "raw", "cyclic", "sin_raw")
TIME_INPUTS = {"none": 0, "sin": 1, "raw": 1, "cyclic": 2, "sin_raw": 2}
SENSORS = 7
"""Direction to the pellet (3), velocity of the centre of mass (3), distance to the pellet (1)."""


def parameters_of(task: PelletsConfig) -> Parameters:
    """The task's numbers as the kernel takes them."""
    return Parameters(
        steps=max(1, round(task.duration * STEPS_PER_SECOND)),
        encoding=ENCODINGS.index(task.time_encoding),
        dead_zone=task.dead_zone,
        smoothing=task.smoothing,
        max_velocity=task.max_velocity,
        friction=task.ground_friction / 0.6,
        penalty=task.efficiency_penalty,
    )


class Pellets:
    """The task `pellets`; see `islands.tasks.Task`."""

    reasons = ("finished", "not finite", "too far", "too high", "exploded")
    outputs = 0
    random = True
    solvable = False
    parts: Mapping[str, Task] = {}
    worth = None

    def __init__(self, config: Config) -> None:
        assert isinstance(config.task, PelletsConfig)
        self.sensors = SENSORS + TIME_INPUTS[config.task.time_encoding]
        self.parameters = parameters_of(config.task)
        self.device = config.device
        self._layout = layout_of(config, self.sensors, self.outputs, config.task.proprioception)

    @property
    def layout(self) -> Layout:
        """How this task's genomes are built."""
        return self._layout

    @functools.cached_property
    def _on_gpu(self) -> Any:
        from islands.gpu import batch, machine

        return batch.Pellets(machine.gpu(), self.layout)

    def warm_up(self, genomes: Genomes) -> None:
        """Compile and load the kernel: one control tick of the first genome."""
        first = np.arange(genomes.count)[:1]
        self.play(genomes, first, first.astype(np.uint64), self.parameters._replace(steps=3))

    def examine(self, genomes: Genomes, row: int, key: np.uint64) -> Verdict:
        """There is no end to the pellets."""
        return Verdict(False, None)

    def play(self, genomes: Genomes, items: Array, keys: Array, parameters: Parameters | None = None) -> Played:
        """Play the episodes; on the CPU a creature's numbers do not depend on the others', bit for bit."""
        parameters = parameters or self.parameters
        if self.device != "cpu":
            played: Played = self._on_gpu.play(genomes, parameters, items, keys)
            return played
        bodies, muscles = np.diff(genomes.body_start), np.diff(genomes.muscle_start)
        room = (int(bodies.max(initial=0)), int(muscles.max(initial=0)))
        slots = input_slots(self.layout, *room)
        brain = make_brain(slots, self.layout, *largest(genomes), room[1])
        order = np.lexsort((np.diff(genomes.conn_start)[items], bodies[items], muscles[items]))
        out = make_out(len(items))
        run_episodes(
            genomes, np.asarray(items, np.int64)[order], np.asarray(keys, np.uint64)[order], self.layout,
            has(self.layout)[1], parameters, make_lanes(*room), make_seats(), brain, room, slots, out,
        )  # fmt: skip
        back = inverse(order)
        return Played(out.fitness[back], out.reason[back], out.steps[back], out.behaviour[back])
