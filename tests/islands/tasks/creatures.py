"""Creatures for tests: first draws, evolved ones and bodies built by hand; and the kernel's lanes, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numba import njit

from islands import networks_lanes
from islands.config import Config, NetworkConfig, PelletsConfig
from islands.genome import population as columns
from islands.genome.initial import draw_genomes
from islands.genome.population import Genomes
from islands.lanes import LANES
from islands.loop import breeding_of
from islands.networks import input_slots
from islands.reproduction import Plan, breed
from islands.tasks import pellets_kernel, pellets_physics
from islands.tasks.pellets import Pellets

MODES = ("neat", "pure", "hybrid")
ENCODINGS = ("none", "sin", "raw", "cyclic", "sin_raw")
FELT = ("none", "strain", "velocity", "contact", "all")
BIASES = ("node", "input", "none")


def configured(
    mode: str = "pure", encoding: str = "none", felt: str = "none", bias: str = "node", **task: Any
) -> Config:
    return Config(
        mode=mode,  # type: ignore[arg-type]
        task=PelletsConfig(time_encoding=encoding, proprioception=felt, **task),  # type: ignore[arg-type]
        network=NetworkConfig(bias=bias),  # type: ignore[arg-type]
    )


def first_draw(config: Config, count: int, key: int = 1) -> tuple[Pellets, Genomes]:
    task = Pellets(config)
    return task, draw_genomes(count, np.uint64(key), task.layout, breeding_of(config, task).first)


def evolved(config: Config, count: int, rounds: int) -> tuple[Pellets, Genomes]:
    """First-draw genomes after `rounds` mutations each, with structure changing often."""
    often = replace(config.mutation, add_node=0.8, add_connection=0.8, add_muscle=0.3, add_body_node=0.3)
    config = replace(config, mutation=often)
    task, genomes = first_draw(config, count)
    rows = np.arange(count)
    plan = Plan(rows, np.full(count, -1), np.zeros(count, np.uint8))
    for generation in range(rounds):
        genomes, _ = breed(genomes, plan, breeding_of(config, task), 1.0, (1, 0, generation))
    return task, genomes


def hand_built(task: Pellets, nodes: Sequence[Sequence[float]], muscles: Sequence[Sequence[float]] = ()) -> Genomes:
    """One genome of `task` with silent networks.

    nodes: (x, y, z, size, friction) each; muscles: (first node, second node, rest, stiffness, damping and, for hybrid,
    frequency, amplitude, phase) each.
    """
    body, muscle, shared = task.layout.columns
    body_gene = np.zeros((len(nodes), body), np.float32)
    muscle_gene = np.zeros((len(muscles), muscle), np.float32)
    for row, (x, y, z, size, friction) in zip(body_gene, nodes, strict=True):
        row[: columns.BODY_GENES] = size, friction, x, y, z
    for row, genes in zip(muscle_gene, muscles, strict=True):
        row[: len(genes) - 2] = genes[2:]
    ends = np.array([muscle[:2] for muscle in muscles], np.uint64).reshape(-1, 2) + np.uint64(1)
    none, two = np.zeros(2, np.int64), np.zeros((0, 2), np.uint64)
    genes = np.zeros((1, shared), np.float32)
    genes[0, columns.MULTIPLIER] = 1.0
    return Genomes(
        body_start=np.array([0, len(nodes)]), body_id=np.arange(1, len(nodes) + 1, dtype=np.uint64),
        body_gene=body_gene,
        muscle_start=np.array([0, len(muscles)]), muscle_id=np.arange(1, len(muscles) + 1, dtype=np.uint64),
        muscle_ends=ends, muscle_gene=muscle_gene,
        node_start=none, node_id=np.zeros(0, np.uint64), node_bias=np.zeros(0, np.float32),
        node_kind=np.zeros(0, np.uint8),
        conn_start=none.copy(), conn_id=np.zeros(0, np.uint64), conn_ends=two, conn_weight=np.zeros(0, np.float32),
        conn_on=np.zeros(0, np.uint8), shared=genes,
    )  # fmt: skip


@njit  # not cached: Numba would not notice a change of what it calls
def _kernel_step(s, nodes, stride, muscles, hybrid):  # type: ignore[no-untyped-def]
    pellets_physics.pull_muscles(s, nodes, stride, muscles, hybrid)
    return pellets_physics.all_fine(pellets_physics.move_nodes(s, nodes, stride, muscles))


class Lanes16:
    """Up to sixteen creatures in the kernel's lanes, moved by hand the way `run_episodes` moves them."""

    def __init__(self, task: Pellets, genomes: Genomes, keys: Sequence[int]) -> None:
        self.task, self.layout, self.parameters = task, task.layout, task.parameters
        self.count, self.keys = genomes.count, [np.uint64(key) for key in keys]
        nodes, muscles = np.diff(genomes.body_start), np.diff(genomes.muscle_start)
        self.room = self.used = (int(nodes.max()), int(muscles.max()))
        self.slots = input_slots(self.layout, *self.room)
        neurons, connections = int(np.diff(genomes.node_start).max()), int(np.diff(genomes.conn_start).max())
        self.s = pellets_physics.make_lanes(*self.room)
        self.brain = networks_lanes.make_brain(self.slots, self.layout, neurons, connections, self.room[1])
        self.counts, self.fresh = np.zeros(LANES, np.float32), np.ones(LANES, np.float32)
        self.number, self.angle = [0] * self.count, [np.float32(0.0)] * self.count
        for lane in range(self.count):
            pellets_kernel.load_body(self.s, genomes, lane, lane, self.parameters, self.room)
            load = networks_lanes.load_fixed if self.layout.hidden else networks_lanes.load_neat
            load(self.brain, genomes, lane, lane, self.layout, self.room, self.slots)
            self.drop(lane)
            self.counts[lane] = np.float32(1.0) / np.float32(max(1, muscles[lane]))

    def drop(self, lane: int) -> None:
        """The lane's next pellet."""
        self.angle[lane] = np.float32(
            pellets_kernel.drop_pellet(self.s, lane, self.keys[lane], self.number[lane], np.float32(self.angle[lane]))
        )

    def sense(self) -> np.ndarray:
        """The networks' inputs: [count, slots]."""
        pellets_kernel.sense(self.s, self.brain, self.layout, self.parameters, self.used, self.room)
        return self.brain.value.reshape(-1, LANES)[: self.slots, : self.count].T.copy()

    def tick(self) -> None:
        """One control tick."""
        self.sense()
        if self.layout.hidden:
            networks_lanes.think_fixed(self.brain, self.layout, self.slots, self.used, self.room)
        else:
            networks_lanes.think_neat(self.brain, self.layout, self.slots, self.used)
        pellets_kernel.act(self.s, self.brain, self.used[1], self.counts, self.parameters, self.fresh)
        self.fresh[:] = 0.0

    def step(self) -> bool:
        """One physics step; whether every body is still possible."""
        fine = _kernel_step(self.s, self.used[0], self.room[0], self.used[1], self.layout.mode == columns.HYBRID)
        for lane in np.flatnonzero(self.row(pellets_physics.GAP) <= 0.0):
            self.number[lane] += 1
            self.drop(int(lane))
        return bool(fine)

    def row(self, which: int) -> np.ndarray:
        """A view of one of the numbers that each creature has one of: [count]."""
        return self.s.lane.reshape(-1, LANES)[which, : self.count]

    def view(self, name: str) -> np.ndarray:
        """A view of a row per body node or muscle: [count, rows]."""
        return getattr(self.s, name).reshape(-1, LANES)[:, : self.count].T

    def vectors(self, *names: str) -> np.ndarray:
        """Three such quantities as vectors: [count, rows, 3]."""
        return np.stack([self.view(name) for name in names], axis=2)
