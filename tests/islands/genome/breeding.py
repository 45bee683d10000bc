"""What the operators' tests build with: populations bred by chosen operators, and genomes read part by part."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any, NamedTuple

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from islands.config import BodyConfig, Config, MutationConfig, NetworkConfig, PelletsConfig
from islands.genome import marking
from islands.genome.initial import draw_genomes
from islands.genome.population import BODY_GENES, MUSCLE_GENES, SHARED_GENES, Genomes, Layout, Population
from islands.loop import breeding_of
from islands.networks import input_marks, input_slots
from islands.reproduction import Plan, breed
from islands.tasks.pellets import Pellets
from tests.islands.tasks.creatures import BIASES, FELT, MODES, Lanes16

CONNECTIVITY = ("full", "sparse_inputs", "sparse_outputs", "none")
QUIET = {field.name: 0.0 for field in fields(MutationConfig)} | {"weights": 1.0}
"""Rates that leave an offspring as it is."""
WILD = {**QUIET, "weight_rate": 0.8, "weight_scale": 0.5, "replace_rate": 0.1, "body_rate": 0.3, "body_scale": 0.3,
        **dict.fromkeys(("add_node", "add_connection", "enable", "disable", "add_body_node", "remove_body_node",
                         "add_muscle", "remove_muscle"), 0.5)}  # fmt: skip
"""Rates at which everything happens often, but for the closing of cycles and what needs functions to draw from."""
Sense = Callable[[int], float]
"""What an input says, by its marking."""


def examples(count: int) -> Any:
    """Settings of a property: so many cases, each of which may take its time."""
    return settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck))


def configurations() -> st.SearchStrategy[Config]:
    """Every mode with every kind of proprioception, bias and first connectivity."""
    return st.builds(
        lambda mode, felt, bias, connectivity: Config(
            mode=mode,
            task=PelletsConfig(proprioception=felt, time_encoding="sin"),
            network=NetworkConfig(hidden=3, bias=bias, connectivity=connectivity, output_bias=0.1),
            body=BodyConfig(max_nodes=6, max_muscles=9),
        ),
        *map(st.sampled_from, (MODES, FELT, BIASES, CONNECTIVITY)),
    )


class Stock:
    """Genomes of one configuration and the means to breed them on."""

    def __init__(self, config: Config, count: int, key: int = 1) -> None:
        self.config, self.task = config, Pellets(config)
        self.layout: Layout = self.task.layout
        self.genomes = draw_genomes(count, np.uint64(key), self.layout, breeding_of(config, self.task).first)
        self.generation = 0

    @property
    def count(self) -> int:
        return self.genomes.count

    def people(self, fitness: np.ndarray | None = None) -> Population:
        """The genomes as a population, of that fitness."""
        return Population(self.genomes, np.zeros(self.count, np.float32) if fitness is None else fitness)

    def bred(
        self, genomes: Genomes | None = None, second: Sequence[int] | None = None, key: int = 1, **rates: float
    ) -> tuple[Genomes, dict[str, int]]:
        """One child of each genome (and of `second`, where that is given), by operators at `rates` and no others."""
        genomes = self.genomes if genomes is None else genomes
        config = replace(self.config, mutation=MutationConfig(**{**QUIET, **rates}))
        none = np.full(genomes.count, -1)
        other = none if second is None else np.asarray(second, np.int64)
        chosen = Plan(np.arange(genomes.count), other, np.zeros(genomes.count, np.uint8))
        return breed(genomes, chosen, breeding_of(config, self.task), 1.0, (key, 0, self.generation))

    def age(self, generations: int, key: int = 1, **rates: float) -> None:
        """Breed the genomes on, with crossover between neighbours in every other generation."""
        for _ in range(generations):
            self.generation += 1
            partners = np.roll(np.arange(self.count), self.generation) if self.generation % 2 else None
            self.genomes, _ = self.bred(second=partners, key=key, **(rates or WILD))


class Parts(NamedTuple):
    """One genome, part by part, by marking."""

    body: dict[int, tuple[float, ...]]
    muscles: dict[int, tuple[tuple[int, int], tuple[float, ...]]]  # ends, genes
    neurons: dict[int, float]  # bias
    connections: dict[int, tuple[int, int, float, int]]  # source, target, weight, on
    shared: tuple[float, ...]


def parts(genomes: Genomes, p: int) -> Parts:
    """Genome `p`, part by part."""

    def rows(table: str) -> range:
        start = getattr(genomes, f"{table}_start")
        return range(start[p], start[p + 1])

    return Parts(
        {int(genomes.body_id[i]): tuple(genomes.body_gene[i].tolist()) for i in rows("body")},
        {
            int(genomes.muscle_id[i]): (
                tuple(genomes.muscle_ends[i].tolist()),
                tuple(genomes.muscle_gene[i].tolist()),
            )
            for i in rows("muscle")
        },
        {int(genomes.node_id[i]): float(genomes.node_bias[i]) for i in rows("node")},
        {
            int(genomes.conn_id[i]): (
                *genomes.conn_ends[i].tolist(),
                float(genomes.conn_weight[i]),
                int(genomes.conn_on[i]),
            )
            for i in rows("conn")
        },
        tuple(genomes.shared[p].tolist()),
    )


def hidden_of(one: Parts) -> list[int]:
    """The markings of a NEAT genome's hidden neurons."""
    outputs = {int(marking.output_mark(np.uint64(muscle))) for muscle in one.muscles}
    return [neuron for neuron in one.neurons if neuron not in outputs]


def said(mark: int) -> float:
    """An input's value for tests: some number in [-1, 1) of its own."""
    return (mark * 2654435761 % 2**32) / 2**31 - 1.0


def sensor(number: int) -> int:
    """The marking of the task's sensor `number`."""
    return int(marking.mark(marking.INPUT, np.uint64(number), 0, 0))


def input_of(kind: Any, part: int, axis: int = 0) -> int:
    """The marking of a part's own sensor: kind STRAIN, VELOCITY or CONTACT."""
    return int(marking.mark(kind, np.uint64(part), np.uint64(axis), 0))


CONSTANT = int(marking.mark(marking.CONSTANT, 0, 0, 0))


def outputs(one: Parts, layout: Layout, sense: Sense) -> dict[int, float]:
    """Every muscle's drive, in float64, by recursion from the outputs back to the inputs. Nothing of `networks`."""
    return _fixed(one, layout, sense) if layout.hidden else _neat(one, layout, sense)


def _neat(one: Parts, layout: Layout, sense: Sense) -> dict[int, float]:
    def value(mark: int) -> float:
        if mark == CONSTANT:
            return 1.0
        if mark not in one.neurons:
            return sense(mark)
        into = [(source, weight) for source, target, weight, on in one.connections.values() if on and target == mark]
        bias = one.neurons[mark] if layout.node_bias else 0.0
        return math.tanh(bias + sum(weight * value(source) for source, weight in into))

    return {muscle: value(int(marking.output_mark(np.uint64(muscle)))) for muscle in one.muscles}


def _fixed(one: Parts, layout: Layout, sense: Sense) -> dict[int, float]:
    width, fixed = layout.hidden, layout.sensors + layout.constant
    weights = one.shared[SHARED_GENES:]
    heard = [sense(sensor(i)) for i in range(layout.sensors)] + [1.0] * layout.constant
    hidden = []
    for h in range(width):
        total = weights[width * fixed + h] if layout.node_bias else 0.0
        total += sum(weights[h * fixed + i] * heard[i] for i in range(fixed))
        for muscle, (_, genes) in one.muscles.items():
            if layout.strain:
                total += genes[MUSCLE_GENES + h] * sense(input_of(marking.STRAIN, muscle))
        for node, genes in one.body.items():
            own = genes[BODY_GENES:]
            if layout.velocity:
                total += sum(own[3 * h + axis] * sense(input_of(marking.VELOCITY, node, axis)) for axis in range(3))
            if layout.contact:
                total += own[3 * width * layout.velocity + h] * sense(input_of(marking.CONTACT, node))
        hidden.append(math.tanh(total))
    drives = {}
    for muscle, (_, genes) in one.muscles.items():
        own = genes[MUSCLE_GENES + width * layout.strain :]
        total = sum(own[h] * hidden[h] for h in range(width)) + (own[width] if layout.node_bias else 0.0)
        drives[muscle] = math.tanh(total)
    return drives


def driven(task: Pellets, genomes: Genomes, sense: Sense) -> list[dict[int, float]]:
    """Every muscle's drive as the compiled kernel computes it, for up to sixteen genomes side by side."""
    from islands import networks_lanes

    lanes = Lanes16(task, genomes, range(genomes.count))
    heard = lanes.brain.value.reshape(-1, 16)
    for p in range(genomes.count):
        bodies = genomes.body_id[genomes.body_start[p] : genomes.body_start[p + 1]]
        muscles = genomes.muscle_id[genomes.muscle_start[p] : genomes.muscle_start[p + 1]]
        marks = np.zeros(input_slots(task.layout, *lanes.room) + 1, np.uint64)
        used = input_marks(task.layout, bodies, muscles, *lanes.room, marks)
        for slot, mark in enumerate(marks[:used].tolist()):
            heard[slot, p] = 1.0 if mark == CONSTANT else sense(mark) if mark else 0.0
    if task.layout.hidden:
        networks_lanes.think_fixed(lanes.brain, task.layout, lanes.slots, lanes.used, lanes.room)
    else:
        networks_lanes.think_neat(lanes.brain, task.layout, lanes.slots, lanes.used)
    found = lanes.brain.drive.reshape(-1, 16)
    return [
        {
            int(muscle): float(found[row, p])
            for row, muscle in enumerate(genomes.muscle_id[genomes.muscle_start[p] : genomes.muscle_start[p + 1]])
        }
        for p in range(genomes.count)
    ]


def distances(one: Genomes, other: Genomes, coefficients: Any) -> np.ndarray:
    """Compatibility distances of genome p of `one` and genome p of `other`."""
    from islands.genome.distance import distance, scratch

    pairs = scratch(one, other)
    return np.array([distance(one, p, other, p, coefficients, pairs) for p in range(one.count)], np.float64)
